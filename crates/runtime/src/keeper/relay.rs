//! The way from a daemon that leaves to its successor: connections with what was read of them, and which instances are still
//! in use.
//!
//! ```text
//!   note length │ data length │ note (JSON) │ data      the descriptor comes with the first byte
//! ```

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    net::IpAddr,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tenement_core::name::InstanceName;

/// No note and no data are nearly as long.
const LENGTH_MAX: usize = 64 << 20;

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs, reason = "said at the variants")]
pub enum Note {
    /// A connection comes with this; the data was read of it.
    Connection { peer: IpAddr },
    /// All instances that requests or tunnels of the one that leaves are still about.
    InUse { instances: Vec<InstanceName> },
}

/// What the other side has said.
#[derive(Debug)]
pub struct Said {
    /// What.
    pub note: Note,
    /// What comes with it.
    pub data: Vec<u8>,
    /// The connection that it is about.
    pub connection: Option<OwnedFd>,
}

/// One end. Both block.
#[derive(Debug)]
pub struct Relay(UnixStream);

impl Relay {
    /// Over a stream socket.
    #[must_use]
    pub fn over(socket: OwnedFd) -> Self {
        Self(socket.into())
    }

    /// Says something.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn send(&mut self, note: &Note, data: &[u8], connection: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let note = serde_json::to_vec(note)?;
        let lengths =
            [note.len(), data.len()].map(|length| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        let head = lengths.concat();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        let fds = connection.map(|connection| [connection]);
        if let Some(fds) = &fds {
            rights.push(SendAncillaryMessage::ScmRights(fds));
        }
        let sent = sendmsg(&self.0, &[IoSlice::new(&head)], &mut rights, SendFlags::NOSIGNAL)?;
        self.0.write_all(&head[sent..])?;
        self.0.write_all(&note)?;
        self.0.write_all(data)
    }

    /// What is said next; `None`: nothing will be.
    ///
    /// # Errors
    /// The other side is gone in the midst of something, or says what can't be understood.
    pub fn receive(&mut self) -> io::Result<Option<Said>> {
        let mut head = [0; 8];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let received =
            recvmsg(&self.0, &mut [IoSliceMut::new(&mut head)], &mut rights, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Ok(None);
        }
        let mut connection = None;
        for message in rights.drain() {
            if let RecvAncillaryMessage::ScmRights(mut fds) = message {
                connection = fds.next();
            }
        }
        self.0.read_exact(&mut head[received.bytes..])?;
        let length =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let note = serde_json::from_slice(&self.bytes(length(0))?)?;
        let data = self.bytes(length(4))?;
        Ok(Some(Said { note, data, connection }))
    }

    fn bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length > LENGTH_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_connection_arrives_with_what_was_read_of_it() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Relay::over(ours.into()), Relay::over(theirs.into()));
        let (mut client, server) = UnixStream::pair().unwrap();
        let sending = std::thread::spawn(move || {
            let peer = Note::Connection { peer: [127, 0, 0, 1].into() };
            ours.send(&peer, &vec![b'x'; 300_000], Some(server.as_fd())).unwrap();
            let instances = vec!["api:a".parse().unwrap()];
            ours.send(&Note::InUse { instances }, b"", None).unwrap();
        });
        let Said { note, data, connection } = theirs.receive().unwrap().unwrap();
        assert_eq!((note, data.len()), (Note::Connection { peer: [127, 0, 0, 1].into() }, 300_000));
        UnixStream::from(connection.unwrap()).write_all(b"answer").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
        let Said { note, data, connection } = theirs.receive().unwrap().unwrap();
        assert_eq!(note, Note::InUse { instances: vec!["api:a".parse().unwrap()] });
        assert!(data.is_empty() && connection.is_none());
        assert!(theirs.receive().unwrap().is_none());
        sending.join().unwrap();
    }
}
