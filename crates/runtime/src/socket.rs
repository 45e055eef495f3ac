//! Unix sockets of instances: clearing the place, and making one to pass on.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests clean up after themselves"))]

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("tenement-socket-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
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
