//! Opens listening sockets, or takes over those of a predecessor.
//!
//! ```text
//!   wanted address ─► inherited: its sockets, as many as there are ─┐
//!        └──────────► missing: one for each thread ─────────────────┴─► spread over the threads
//! ```
//!
//! Each socket has a queue of its own, so each needs a thread that accepts from it. Where a predecessor had more threads,
//! one thread serves several; where it had fewer, several threads share one. Another socket would be a queue from which
//! nobody accepts if the predecessor has to stay after all.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, OwnedFd},
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

/// An address and its sockets, each with its own queue; at least one.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) address: SocketAddr,
    pub(super) sockets: Vec<TcpListener>,
}

/// Listens on each of `addresses`, with `inherited` sockets where they fit. Port 0 is satisfied with any inherited port
/// of that address which isn't wanted otherwise, so that it stays the same. What does not fit is closed.
pub(super) fn all(
    addresses: &[SocketAddr],
    threads: usize,
    inherited: Vec<OwnedFd>,
) -> Result<Vec<Group>, BindError> {
    let mut rest = groups(inherited);
    // First those who name what they want.
    let mut found: Vec<Option<Group>> =
        addresses.iter().map(|&wanted| take(&mut rest, |address| address == wanted)).collect();
    for (found, wanted) in found.iter_mut().zip(addresses) {
        if wanted.port() == 0 && found.is_none() {
            *found = take(&mut rest, |address| address.ip() == wanted.ip());
        }
    }
    // Of addresses that are not wanted any more; one that is now wanted more widely, perhaps.
    let predecessors: Vec<u16> = rest.iter().map(|group| group.address.port()).collect();
    let missing = |&wanted: &SocketAddr| {
        let ours = wanted.port() != 0 && predecessors.contains(&wanted.port());
        new(wanted, threads, ours).map_err(|source| BindError { address: wanted, source })
    };
    found
        .into_iter()
        .zip(addresses)
        .map(|(found, wanted)| found.map_or_else(|| missing(wanted), Ok))
        .collect()
}

/// What each thread accepts from. Nobody is left out: neither a socket nor a thread.
///
/// # Errors
/// No descriptor is left.
pub(super) fn spread(groups: Vec<Group>, threads: usize) -> io::Result<Vec<Vec<TcpListener>>> {
    let mut listeners: Vec<Vec<TcpListener>> = (0..threads).map(|_| Vec::new()).collect();
    for Group { sockets, .. } in groups {
        let count = sockets.len();
        for thread in count..threads {
            listeners[thread].push(sockets[thread % count].try_clone()?);
        }
        for (at, socket) in sockets.into_iter().enumerate() {
            listeners[at % threads].push(socket);
        }
    }
    Ok(listeners)
}

/// By address, what listens. The same socket may come more than once, under several descriptors.
fn groups(inherited: Vec<OwnedFd>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut seen = Vec::new();
    for descriptor in inherited {
        let Some((address, inode)) = listens(&descriptor) else { continue };
        if seen.contains(&inode) {
            continue;
        }
        seen.push(inode);
        let socket = TcpListener::from(descriptor);
        match groups.iter_mut().find(|group| group.address == address) {
            Some(group) => group.sockets.push(socket),
            None => groups.push(Group { address, sockets: vec![socket] }),
        }
    }
    groups
}

/// Where a socket listens, and which one it is; `None` if it doesn't, or isn't one of TCP.
fn listens(descriptor: &OwnedFd) -> Option<(SocketAddr, u64)> {
    let socket = socket2::SockRef::from(descriptor);
    let tcp = socket.protocol().is_ok_and(|protocol| protocol == Some(Protocol::TCP));
    if !tcp || !socket.is_listener().unwrap_or(false) {
        return None;
    }
    socket.set_nonblocking(true).ok()?;
    // It may be from before it was as it is now.
    let _ = end_vanished(&socket);
    let address = socket.local_addr().ok()?.as_socket()?;
    Some((address, rustix::fs::fstat(descriptor.as_fd()).ok()?.st_ino))
}

fn take(groups: &mut Vec<Group>, fits: impl Fn(SocketAddr) -> bool) -> Option<Group> {
    let at = groups.iter().position(|group| fits(group.address))?;
    Some(groups.remove(at))
}

/// One for each thread. `ours`: who has the port already is our predecessor.
fn new(wanted: SocketAddr, threads: usize, ours: bool) -> io::Result<Group> {
    // With SO_REUSEPORT another program of ours may share the port unnoticed; so ask without it first. Who asks keeps it
    // until the others have it: it may have been any free one.
    let asks = if ours { None } else { Some(listen(wanted, false)?) };
    let address = asks.as_ref().map_or(Ok(wanted), TcpListener::local_addr)?;
    let sockets = (0..threads).map(|_| listen(address, true)).collect::<io::Result<_>>()?;
    Ok(Group { address, sockets })
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
    end_vanished(&socket)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Has connections ended whose client has vanished, after two minutes in all: an open tunnel has no other limit.
/// Accepted ones inherit it.
fn end_vanished(listener: &Socket) -> io::Result<()> {
    let (time, interval) = (Duration::from_secs(60), Duration::from_secs(15));
    let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(4);
    listener.set_tcp_keepalive(&keepalive)?;
    // Nothing is probed while something that was sent is not acknowledged, and streams send every few seconds.
    listener.set_tcp_user_timeout(Some(time + interval * 4))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use socket2::SockRef;

    use super::*;

    #[test]
    fn whose_client_vanishes_is_ended_whether_or_not_something_is_on_its_way_to_it() {
        // One of a predecessor that knew nothing of it, and one of our own.
        let old = TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = [old.local_addr().unwrap(), "127.0.0.1:0".parse().unwrap()];
        for Group { address, sockets } in all(&wanted, 1, vec![old.into()]).unwrap() {
            let _client = TcpStream::connect(address).unwrap();
            sockets[0].set_nonblocking(false).unwrap();
            let (accepted, _) = sockets[0].accept().unwrap();
            let accepted = SockRef::from(&accepted);
            assert!(accepted.keepalive().unwrap());
            let silent =
                accepted.tcp_keepalive_interval().unwrap() * accepted.tcp_keepalive_retries().unwrap();
            let longest = Duration::from_secs(120);
            assert_eq!(accepted.tcp_keepalive_time().unwrap() + silent, longest);
            assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(longest));
        }
    }
}
