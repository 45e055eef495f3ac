//! Opens listening sockets, or takes on those of a daemon before.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
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

/// For every thread a listener of each address, or more of them where more were inherited. Inherited sockets of other
/// addresses are closed.
pub(super) fn all(
    addresses: &[SocketAddr],
    threads: usize,
    inherited: Vec<OwnedFd>,
) -> Result<(Vec<SocketAddr>, Vec<Vec<TcpListener>>), BindError> {
    let mut found = Vec::new();
    let mut listeners: Vec<Vec<TcpListener>> = (0..threads).map(|_| Vec::new()).collect();
    let mut inherited: Vec<TcpListener> = inherited.into_iter().map(TcpListener::from).collect();
    for &wanted in addresses {
        let failed = |source| BindError { address: wanted, source };
        if let Some((address, ours)) = take(&mut inherited, wanted) {
            // All of them are served, as clients wait in the queue of each.
            let count = ours.len();
            for (index, listener) in ours.into_iter().enumerate() {
                listener.set_nonblocking(true).map_err(failed)?;
                listeners[index % threads].push(listener);
            }
            for own in listeners.iter_mut().skip(count) {
                own.push(listen(address, true).map_err(failed)?);
            }
            found.push(address);
            continue;
        }
        // With SO_REUSEPORT another program of ours may share the port unnoticed; so ask without it first.
        let address = listen(wanted, false).and_then(|probe| probe.local_addr()).map_err(failed)?;
        for own in &mut listeners {
            own.push(listen(address, true).map_err(failed)?);
        }
        found.push(address);
    }
    Ok((found, listeners))
}

/// Those that listen on an address; with port 0, on any port of it, as there the kernel chose one.
fn take(inherited: &mut Vec<TcpListener>, wanted: SocketAddr) -> Option<(SocketAddr, Vec<TcpListener>)> {
    let of = |listener: &TcpListener| listener.local_addr().ok();
    let fits = |found: SocketAddr| {
        found == wanted || (wanted.port() == 0 && found.ip() == wanted.ip() && found.port() != 0)
    };
    let address = inherited.iter().filter_map(of).find(|&found| fits(found))?;
    let ours = inherited.extract_if(.., |listener| of(listener) == Some(address)).collect();
    Some((address, ours))
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
