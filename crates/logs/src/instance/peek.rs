//! Looks at what is in a pipe before it is decided what becomes of it.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    pipe::{PipeFlags, SpliceFlags, pipe_with, tee},
};

/// As many bytes as a pipe holds mostly.
pub(super) const PEEK: usize = 64 << 10;

/// Makes copies of what is in pipes. What is copied stays there, so that a kill loses none of it.
#[derive(Debug, Default)]
pub(crate) struct Peeker {
    copies: Option<(OwnedFd, OwnedFd)>,
    buffer: Vec<u8>,
}

/// What there was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    Bytes(&'a [u8]),
    Empty,
    Closed,
}

impl Peeker {
    /// What is next in `pipe`; it stays there.
    pub(super) fn look(&mut self, pipe: BorrowedFd<'_>) -> io::Result<Seen<'_>> {
        let (out, into) = match &self.copies {
            Some(copies) => copies,
            None => self.copies.insert(pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?),
        };
        let copied = rustix::io::retry_on_intr(|| tee(pipe, into, PEEK, SpliceFlags::NONBLOCK));
        let copied = match copied {
            Ok(0) => return Ok(Seen::Closed),
            Ok(copied) => copied,
            Err(Errno::AGAIN) => return Ok(Seen::Empty),
            Err(error) => return Err(error.into()),
        };
        read(out.as_fd(), &mut self.buffer, copied).map(Seen::Bytes)
    }

    /// What [`Self::look`] saw last.
    pub(super) fn seen(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes at most `max` bytes out of `pipe`, for nothing.
    pub(super) fn discard(&mut self, pipe: BorrowedFd<'_>, max: usize) -> io::Result<Seen<'_>> {
        self.buffer.resize(max, 0);
        match rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut self.buffer[..])) {
            Ok(0) => Ok(Seen::Closed),
            Ok(read) => Ok(Seen::Bytes(&self.buffer[..read])),
            Err(Errno::AGAIN) => Ok(Seen::Empty),
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads exactly so many bytes, which are there.
fn read<'a>(pipe: BorrowedFd<'_>, buffer: &'a mut Vec<u8>, count: usize) -> io::Result<&'a [u8]> {
    buffer.resize(count, 0);
    let mut at = 0;
    while at < count {
        match rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut buffer[at..]))? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => at += read,
        }
    }
    Ok(buffer)
}
