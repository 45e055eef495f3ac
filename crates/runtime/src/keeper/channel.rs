//! The way between keeper and daemon: `unix(7)`, `SOCK_SEQPACKET`, with descriptors by `SCM_RIGHTS`.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg,
        socketpair,
    },
};
use serde::{Serialize, de::DeserializeOwned};

/// Descriptors that one packet carries at most: `SCM_MAX_FD` of the kernel.
pub(super) const FDS_MAX: usize = 253;
/// No message is nearly as long.
const PACKET_MAX: usize = 64 << 10;

/// What came of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Done,
    /// There is no room now: when the channel can be written to.
    Full,
    /// Too many descriptors are under way: in a moment.
    Later,
    /// The other side is gone.
    Gone,
}

/// Both ends.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Never waits. At most [`FDS_MAX`] descriptors.
pub(super) fn send(channel: impl AsFd, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> Sent {
    let Ok(text) = serde_json::to_vec(message) else { return Sent::Done };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        rights.push(SendAncillaryMessage::ScmRights(fds));
    }
    loop {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        return match sendmsg(&channel, &[IoSlice::new(&text)], &mut rights, flags) {
            Ok(_) => Sent::Done,
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => Sent::Full,
            Err(Errno::TOOMANYREFS | Errno::NOBUFS | Errno::NOMEM) => Sent::Later,
            Err(_) => Sent::Gone,
        };
    }
}

/// The next packet; `None`: the other side is gone and everything it sent was received.
///
/// # Errors
/// `WouldBlock`: nothing is there, and `wait` is not wanted.
pub(super) fn receive<M: DeserializeOwned + Default>(
    channel: impl AsFd,
    wait: bool,
) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    let mut packet = vec![0; PACKET_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    if !wait {
        flags |= RecvFlags::DONTWAIT;
    }
    loop {
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let received = match recvmsg(&channel, &mut [IoSliceMut::new(&mut packet)], &mut rights, flags) {
            Ok(received) => received,
            // The other side closed before it had read all of ours. What it sent is still there: this is said once.
            Err(Errno::INTR | Errno::CONNRESET) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut fds = Vec::new();
        for message in rights.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            tracing::warn!("no descriptor was left for some that were passed on");
        }
        return Ok(Some((serde_json::from_slice(&packet[..received.bytes]).unwrap_or_default(), fds)));
    }
}
