//! One kind of stream for clients and instances.
//!
//! Reading and writing take `&self`, so that one task can do both directions at a time. A stream belongs to
//! one task: the runtime remembers only one waiting reader and one waiting writer.

use std::{
    future::poll_fn,
    io::{self, ErrorKind, IoSlice},
    net::Shutdown,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    task::{Context, Poll, ready},
};

use rustix::event::{PollFd, PollFlags, Timespec};
use tenement_runtime::socket;
use tokio::net::{TcpStream, UnixStream};

/// What the other side of a stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Nothing,
    /// It sends nothing more; it may still read.
    Sending,
    /// It neither sends nor reads.
    Both,
}

/// Bytes that the kernel takes and can't send yet, where that is bounded.
const WAITING: u32 = 64 << 10;

/// A connected stream socket.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! on {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($inner) => $call,
            Stream::Unix($inner) => $call,
        }
    };
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        on!(self, inner => inner.as_fd())
    }
}

impl Stream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self, inner => inner.poll_read_ready(cx))
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self, inner => inner.poll_write_ready(cx))
    }

    /// Reads what is there without waiting; `WouldBlock` when nothing is.
    pub(crate) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        on!(self, inner => inner.try_read(into))
    }

    /// Writes what goes at once; `WouldBlock` when nothing does.
    pub(crate) fn try_write(&self, from: &[u8]) -> io::Result<usize> {
        on!(self, inner => inner.try_write(from))
    }

    /// Waits until there is room to write, or an error.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_writable(cx)).await
    }

    /// Bytes written that the other side has not taken yet.
    pub(crate) fn unsent(&self) -> Option<usize> {
        socket::unsent(self.as_fd()).ok()
    }

    /// From now on the kernel takes little that it can't send: of what is seldom written it would take megabytes before
    /// a write waits. What is under way to who takes it is not bounded by that.
    pub(crate) fn bound_waiting(&self) {
        // Not known of every kind of socket.
        let _ = socket2::SockRef::from(self).set_tcp_notsent_lowat(WAITING);
    }

    /// What the other side has ended by now, be it read up to there or not. Of TCP, the end of reading shows only by
    /// a reset.
    pub(crate) fn ended(&self) -> Ended {
        let mut asked = [PollFd::new(self, PollFlags::RDHUP)];
        if rustix::event::poll(&mut asked, Some(&Timespec::default())).is_err() {
            return Ended::Nothing;
        }
        let found = asked[0].revents();
        if found.intersects(PollFlags::ERR | PollFlags::HUP) {
            Ended::Both
        } else if found.contains(PollFlags::RDHUP) {
            Ended::Sending
        } else {
            Ended::Nothing
        }
    }

    /// Whether the other side can't send `expected` more bytes: it was reset, or it has ended and less is there.
    pub(crate) fn falls_short(&self, expected: u64) -> bool {
        match self.ended() {
            Ended::Nothing => false,
            Ended::Sending => rustix::io::ioctl_fionread(self).is_ok_and(|there| there < expected),
            Ended::Both => true,
        }
    }

    /// Waits until there is something to read, or an end, or an error.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    fn poll_write(&self, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let written = match from {
                [one] => on!(self, inner => inner.try_write(one)),
                many => on!(self, inner => inner.try_write_vectored(many)),
            };
            match written {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(self.poll_writable(cx))?,
                other => return Poll::Ready(other),
            }
        }
    }

    /// Writes some bytes; an error means that none of them went out.
    pub(crate) async fn write_some(&self, from: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_write(cx, &[IoSlice::new(from)])).await
    }

    /// Writes everything.
    pub(crate) async fn write_all(&self, mut from: &[u8]) -> io::Result<()> {
        while !from.is_empty() {
            let written = self.write_some(from).await?;
            if written == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            from = &from[written..];
        }
        Ok(())
    }

    /// Writes two pieces, in one go where the socket takes it.
    pub(crate) async fn write_both(&self, mut first: &[u8], second: &[u8]) -> io::Result<()> {
        while !first.is_empty() && !second.is_empty() {
            let pieces = [IoSlice::new(first), IoSlice::new(second)];
            let written = poll_fn(|cx| self.poll_write(cx, &pieces)).await?;
            match first.get(written..) {
                _ if written == 0 => return Err(ErrorKind::WriteZero.into()),
                Some(left) => first = left,
                None => return self.write_all(&second[written - first.len()..]).await,
            }
        }
        self.write_all(first).await?;
        self.write_all(second).await
    }

    /// Its descriptor, which this thread's runtime does not watch any more.
    pub(crate) fn into_fd(self) -> io::Result<OwnedFd> {
        on!(self, inner => inner.into_std().map(OwnedFd::from))
    }

    /// Nothing more will be written.
    pub(crate) fn shutdown(&self) {
        // Fails only when the other side is gone already.
        let _ = socket2::SockRef::from(self).shutdown(Shutdown::Write);
    }

    /// Makes closing a reset, so that the other side can't take what it got for the whole.
    pub(crate) fn reset_on_close(&self) {
        let _ = socket2::SockRef::from(self).set_linger(Some(std::time::Duration::ZERO));
    }
}
