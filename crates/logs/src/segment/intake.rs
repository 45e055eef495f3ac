//! Moves bytes from a pipe into a file.

use std::{
    fs::File,
    io,
    os::{fd::BorrowedFd, unix::fs::FileExt},
};

use rustix::{
    io::Errno,
    pipe::{SpliceFlags, splice},
};

/// What came out of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    /// So many bytes are in the file.
    Bytes(u64),
    /// Nothing there now.
    Empty,
    /// Nobody holds the other end.
    Closed,
}

/// How bytes get from the pipes of one stream into its files.
#[derive(Debug, Default)]
pub(super) struct Mover {
    /// The file system cannot splice.
    by_copy: bool,
    /// Bytes that were read and could not be written yet. Only when copying.
    carried: Vec<u8>,
}

impl Mover {
    /// Whether bytes wait that are in no pipe any more.
    pub(super) fn carries(&self) -> bool {
        !self.carried.is_empty()
    }

    /// Moves at most `max` bytes to `offset` of `file`.
    ///
    /// splice(2) takes from the pipe what it has put into the file, in one step as far as a kill can see. A
    /// file system that refuses it gets copies, with a window in which a kill loses what was just read.
    pub(super) fn take(
        &mut self,
        pipe: BorrowedFd<'_>,
        file: &File,
        offset: u64,
        max: usize,
    ) -> io::Result<Intake> {
        while !self.by_copy {
            let mut at = offset;
            match splice(pipe, None, file, Some(&mut at), max, SpliceFlags::NONBLOCK) {
                Ok(0) => return Ok(Intake::Closed),
                Ok(moved) => return Ok(Intake::Bytes(moved as u64)),
                Err(Errno::AGAIN) => return Ok(Intake::Empty),
                Err(Errno::INTR) => {}
                Err(Errno::INVAL) => self.by_copy = true,
                Err(error) => return Err(error.into()),
            }
        }
        self.copy(pipe, file, offset, max)
    }

    fn copy(&mut self, pipe: BorrowedFd<'_>, file: &File, offset: u64, max: usize) -> io::Result<Intake> {
        if self.carried.is_empty() {
            let mut buffer = vec![0; max.min(64 * 1024)];
            match rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut buffer)) {
                Ok(0) => return Ok(Intake::Closed),
                Ok(read) => buffer.truncate(read),
                Err(Errno::AGAIN) => return Ok(Intake::Empty),
                Err(error) => return Err(error.into()),
            }
            self.carried = buffer;
        }
        file.write_all_at(&self.carried, offset)?;
        Ok(Intake::Bytes(std::mem::take(&mut self.carried).len() as u64))
    }
}

#[cfg(test)]
mod tests;
