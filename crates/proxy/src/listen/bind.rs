//! Opens listening sockets.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// Connections the kernel keeps for us until they are accepted; it may allow fewer.
const BACKLOG: i32 = 4096;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// Which.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// For every thread a listener of each address.
pub(super) fn all(
    addresses: &[SocketAddr],
    threads: usize,
) -> Result<(Vec<SocketAddr>, Vec<Vec<TcpListener>>), BindError> {
    let mut found = Vec::new();
    let mut listeners: Vec<Vec<TcpListener>> = (0..threads).map(|_| Vec::new()).collect();
    for &wanted in addresses {
        let failed = |source| BindError { address: wanted, source };
        // With SO_REUSEPORT another program of ours may share the port unnoticed; so ask without it first.
        let address = listen(wanted, false).and_then(|probe| probe.local_addr()).map_err(failed)?;
        for own in &mut listeners {
            own.push(listen(address, true).map_err(failed)?);
        }
        found.push(address);
    }
    Ok((found, listeners))
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    if shared {
        socket.listen(BACKLOG)?;
    }
    // Accepted connections inherit it. A tunnel has no other limit: this ends one whose client has vanished, after
    // two minutes in all.
    let (time, interval) = (Duration::from_secs(60), Duration::from_secs(15));
    let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(4);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
