//! The kernel's answer to "which socket listens here?": sock_diag(7) for one socket.
//!
//! Reading `/proc/net/tcp` for it costs as much as there are sockets on the host; this costs a few microseconds.

use std::{io, net::Ipv4Addr};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

/// `SOCK_DIAG_BY_FAMILY` of linux/sock_diag.h.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST` and `NLMSG_ERROR` of netlink(7).
const IS_REQUEST: u16 = 1;
const ERROR: u16 = 2;
/// Bytes of `nlmsghdr` and of `inet_diag_req_v2`.
const HEADER: usize = 16;
const REQUEST: usize = HEADER + 56;
/// Where `idiag_inode` stands in an answer.
const INODE: usize = HEADER + 68;

/// The inode of the socket that listens on `port` of 127.0.0.1 or of every address; `None` without one.
///
/// # Errors
/// The kernel has no sock_diag, or no descriptor is left.
pub(crate) fn listening_inode(port: u16) -> io::Result<Option<u64>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let kernel =
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG))?;
    rustix::net::send(&kernel, &request(port), SendFlags::empty())?;
    let mut answer = [0_u8; 512];
    // The kernel works the request off within send(2): the answer is there.
    let (read, _) = rustix::net::recv(&kernel, &mut answer[..], RecvFlags::empty())?;
    parse(&answer[..read])
}

/// `nlmsghdr` and `inet_diag_req_v2` of linux/inet_diag.h.
fn request(port: u16) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    bytes[..4].copy_from_slice(&(REQUEST as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&IS_REQUEST.to_ne_bytes());
    let body = &mut bytes[HEADER..];
    body[0] = libc::AF_INET as u8;
    body[1] = libc::IPPROTO_TCP as u8;
    body[4..8].copy_from_slice(&u32::MAX.to_ne_bytes()); // every state
    body[8..10].copy_from_slice(&port.to_be_bytes());
    body[12..16].copy_from_slice(&Ipv4Addr::LOCALHOST.octets());
    body[48..56].fill(0xff); // INET_DIAG_NOCOOKIE
    bytes
}

fn parse(answer: &[u8]) -> io::Result<Option<u64>> {
    let short = || io::Error::from(io::ErrorKind::InvalidData);
    let kind = answer.get(4..6).ok_or_else(short)?;
    let number = |at: usize| {
        let bytes = answer.get(at..at + 4).ok_or_else(short)?;
        Ok::<_, io::Error>(u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    if kind == ERROR.to_ne_bytes() {
        let errno = -number(HEADER)?.cast_signed();
        return if errno == libc::ENOENT { Ok(None) } else { Err(io::Error::from_raw_os_error(errno)) };
    }
    if kind != BY_FAMILY.to_ne_bytes() {
        return Err(short());
    }
    Ok(Some(number(INODE)?.into()).filter(|&inode| inode != 0))
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsFd};

    use super::*;

    #[test]
    fn finds_the_listening_socket_of_a_port() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            let expected = rustix::fs::fstat(listener.as_fd()).unwrap().st_ino;
            assert_eq!(listening_inode(port).unwrap(), Some(expected), "{address}");
            let _connected = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            assert_eq!(listening_inode(port).unwrap(), Some(expected), "{address}");
            drop(listener);
            assert_eq!(listening_inode(port).unwrap(), None, "{address}");
        }
    }
}
