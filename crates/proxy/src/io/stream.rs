//! One kind of stream for clients and instances.
//!
//! Reading and writing take `&self`, so that one task can do both directions at a time. A stream belongs to
//! one task: the runtime remembers only one waiting reader and one waiting writer.

use std::{
    future::poll_fn,
    io::{self, ErrorKind, IoSlice},
    net::Shutdown,
    os::fd::AsFd,
    task::{Context, Poll, ready},
};

use tokio::net::{TcpStream, UnixStream};

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

    /// Nothing more will be written.
    pub(crate) fn shutdown(&self) {
        let fd = on!(self, inner => inner.as_fd());
        // Fails only when the other side is gone already.
        let _ = socket2::SockRef::from(&fd).shutdown(Shutdown::Write);
    }

    /// Makes closing a reset, so that the other side can't take what it got for the whole.
    pub(crate) fn reset_on_close(&self) {
        let fd = on!(self, inner => inner.as_fd());
        let _ = socket2::SockRef::from(&fd).set_linger(Some(std::time::Duration::ZERO));
    }
}
