//! Unix sockets of instances: clearing the place, and making one to pass on.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests clean up after themselves"))]

use std::{
    ffi::OsStr,
    fs, io,
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
        unix::{ffi::OsStrExt, fs::FileTypeExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Connections the kernel holds for an app that is not there yet.
const BACKLOG: i32 = 4096;
/// Between two tries to get into a full queue.
const FULL_PAUSE: Duration = Duration::from_millis(1);
const FULL_PAUSE_MAX: Duration = Duration::from_millis(20);

/// Makes room at a path for a new socket: makes its folder, removes a stale socket of an earlier run.
///
/// # Errors
/// Something else is there, or somebody still listens.
pub fn make_room(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let kind = match fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let refuse = |what| io::Error::new(io::ErrorKind::AlreadyExists, format!("'{}' {what}", path.display()));
    if !kind.is_socket() {
        return Err(refuse("is there already and is not a socket: remove it"));
    }
    match connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Where the queue is full, somebody listens as well.
        Ok(_) => Err(refuse("is in use by another process")),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(refuse("is in use by another process"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A socket that listens at a path from now on, to be passed to a process.
///
/// # Errors
/// As `bind(2)` and `listen(2)`.
pub fn listen(path: &Path) -> io::Result<OwnedFd> {
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket).into())
}

/// Connects to the socket at a path without waiting; the stream is non-blocking.
///
/// # Errors
/// As `connect(2)`; `WouldBlock` when the queue of the listening socket is full.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

/// As [`connect`], and waits as long as the queue of the listening socket is full.
///
/// # Errors
/// As `connect(2)`.
pub async fn connect_in_turn(path: &Path) -> io::Result<UnixStream> {
    let mut pause = FULL_PAUSE;
    loop {
        match connect(path) {
            // Nothing tells when there is room again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(FULL_PAUSE_MAX);
            }
            other => return other,
        }
    }
}

/// Begins to connect to a port of 127.0.0.1 without waiting; the stream is non-blocking, and refuses to send until
/// it is connected.
///
/// # Errors
/// As `connect(2)`, as far as it is known at once.
pub fn connect_port(port: u16) -> io::Result<TcpStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

/// Bytes written to a socket that the other side has not taken: `SIOCOUTQ` of tcp(7) and unix(7).
///
/// # Errors
/// It is not such a socket.
pub fn unsent(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open while it is borrowed, and the kernel writes one int.
    let asked = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// The process that called listen(2) on the other end's socket: `SO_PEERCRED` in unix(7). None when this process
/// has no number for it, as for one in another pid namespace.
pub(crate) fn listener_pid(connection: BorrowedFd<'_>) -> Option<u32> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = libc::socklen_t::try_from(size_of_val(&peer)).ok()?;
    // SAFETY: the descriptor is open while it is borrowed, and the kernel writes at most `size` bytes to `peer`,
    // which has as many and takes any bit pattern.
    let asked = unsafe {
        libc::getsockopt(
            connection.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut size,
        )
    };
    if asked != 0 {
        return None;
    }
    u32::try_from(peer.pid).ok().filter(|&pid| pid != 0)
}

/// The path that the other end's socket was bound to.
pub(crate) fn bound_to(connection: BorrowedFd<'_>) -> Option<PathBuf> {
    let address = rustix::net::getpeername(connection).ok()??;
    let address = SocketAddrUnix::try_from(address).ok()?;
    Some(PathBuf::from(OsStr::from_bytes(address.path_bytes()?)))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("tenement-socket-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_connection_tells_who_listens() {
        let folder = folder("peer");
        let _listener = listen(&folder.join("a.sock")).unwrap();
        let connection = connect(&folder.join("a.sock")).unwrap();
        assert_eq!(listener_pid(connection.as_fd()), Some(std::process::id()));
        assert_eq!(bound_to(connection.as_fd()), Some(folder.join("a.sock")));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_was_not_taken_is_counted() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        assert_eq!(unsent(ours.as_fd()).unwrap(), 0);
        io::Write::write_all(&mut ours, b"hello").unwrap();
        assert!(unsent(ours.as_fd()).unwrap() > 0);
        io::Read::read_exact(&mut theirs, &mut [0; 5]).unwrap();
        assert_eq!(unsent(ours.as_fd()).unwrap(), 0);
    }

    // faults: I3
    #[test]
    fn a_stale_socket_goes_and_anything_else_stays() {
        let folder = folder("room");
        let path = folder.join("a.sock");
        drop(UnixListener::bind(&path).unwrap());
        make_room(&path).unwrap();
        assert!(!path.exists());
        let listener = listen(&path).unwrap();
        assert!(make_room(&path).unwrap_err().to_string().contains("in use"));
        // A queue of one, and full.
        rustix::net::listen(&listener, 0).unwrap();
        let queued: Vec<_> = std::iter::from_fn(|| connect(&path).ok()).take(16).collect();
        assert!(queued.len() < 16, "the queue never fills");
        assert!(make_room(&path).unwrap_err().to_string().contains("in use"));
        drop((listener, queued));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(make_room(&path).unwrap_err().to_string().contains("not a socket"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
