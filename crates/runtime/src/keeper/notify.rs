//! Tells the service manager, `sd_notify(3)`: one datagram to the socket that `NOTIFY_SOCKET` names.

use std::{
    ffi::OsString,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// The variable with the place of the service manager's socket.
pub(super) const VARIABLE: &str = "NOTIFY_SOCKET";

/// The service manager, if there is one.
#[derive(Debug)]
pub(super) struct Manager(Option<OsString>);

impl Manager {
    pub(super) fn from_env() -> Self {
        Self(std::env::var_os(VARIABLE))
    }

    /// Says something like `READY=1`. Never waits.
    pub(super) fn tell(&self, what: &str) -> io::Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        let address = match path.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(path)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(format!("{what}\n").as_bytes(), &address).map(drop)
    }
}
