//! Unix sockets of instances: clearing the place, and making one to pass on.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests clean up after themselves"))]

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::FileTypeExt,
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Connections the kernel holds for an app that is not there yet.
const BACKLOG: i32 = 4096;

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
    if UnixStream::connect(path).is_ok() {
        return Err(refuse("is in use by another process"));
    }
    fs::remove_file(path)
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

/// The process that called listen(2) on the other end's socket: `SO_PEERCRED` in unix(7). None when this process
/// has no number for it, as for one in another pid namespace.
pub(crate) fn listener_pid(stream: &UnixStream) -> Option<u32> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = libc::socklen_t::try_from(size_of_val(&peer)).ok()?;
    // SAFETY: the descriptor is open while `stream` is borrowed, and the kernel writes at most `size` bytes to
    // `peer`, which has as many and takes any bit pattern.
    let asked = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
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

#[cfg(test)]
mod tests {
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
        assert_eq!(listener_pid(&connection), Some(std::process::id()));
        fs::remove_dir_all(&folder).unwrap();
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
        drop(listener);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(make_room(&path).unwrap_err().to_string().contains("not a socket"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
