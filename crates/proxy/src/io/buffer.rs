//! Read buffers that are only held while something is in them.
//!
//! Storage comes from a list of the thread and goes back as soon as a buffer is empty and about to wait, so a
//! connection that waits costs no buffer at all.

use std::{cell::RefCell, io, ops::Deref};

use super::Stream;

/// Bytes of a buffer for heads and small bodies.
const SMALL: usize = 16 << 10;
/// Bytes of a buffer for the largest head and for bodies that keep coming.
const LARGE: usize = 128 << 10;
/// Storage of either size that a thread keeps for later.
const KEPT: usize = 32;

thread_local! {
    static SPARE: RefCell<[Vec<Box<[u8]>>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

fn take(large: bool) -> Box<[u8]> {
    let spare = SPARE.with_borrow_mut(|spare| spare[usize::from(large)].pop());
    spare.unwrap_or_else(|| vec![0; if large { LARGE } else { SMALL }].into())
}

fn give(storage: Box<[u8]>) {
    let class = usize::from(storage.len() == LARGE);
    SPARE.with_borrow_mut(|spare| {
        if matches!(storage.len(), SMALL | LARGE) && spare[class].len() < KEPT {
            spare[class].push(storage);
        }
    });
}

/// Bytes that were read and not yet used. Dereferences to them.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    storage: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// With bytes that somebody else has read.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        let end = bytes.len();
        let storage = match end {
            0 => Box::default(),
            // More than is ever read at once; a storage of its own.
            _ if end > LARGE => bytes.into(),
            _ => {
                let mut storage = take(end > SMALL);
                storage[..end].copy_from_slice(&bytes);
                storage
            }
        };
        Self { storage, start: 0, end }
    }

    /// Forgets the first `count` bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Whether it holds as much as it ever can.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= LARGE
    }

    /// Waits for bytes and adds what is there; 0 at the end of the stream or when full. With `large`, room for
    /// much at once is made.
    pub(crate) async fn fill(&mut self, stream: &Stream, large: bool) -> io::Result<usize> {
        loop {
            if self.is_empty() {
                give(std::mem::take(&mut self.storage));
            }
            stream.readable().await?;
            match self.try_fill(stream, large) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }

    /// As [`Self::fill`], without waiting: `WouldBlock` when nothing is there.
    pub(crate) fn try_fill(&mut self, stream: &Stream, large: bool) -> io::Result<usize> {
        self.make_room(large);
        let read = stream.try_read(&mut self.storage[self.end..])?;
        self.end += read;
        Ok(read)
    }

    fn make_room(&mut self, large: bool) {
        let short = self.storage.len() < LARGE;
        if self.storage.is_empty() {
            self.storage = take(large);
        } else if short && (large || self.len() == self.storage.len()) {
            let mut wider = take(true);
            wider[..self.len()].copy_from_slice(self);
            (self.start, self.end) = (0, self.len());
            give(std::mem::replace(&mut self.storage, wider));
        } else if self.start > 0 && self.end == self.storage.len() {
            self.storage.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.len());
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.storage[self.start..self.end]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.storage));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_has_read_is_used_as_if_read_here() {
        for size in [0, 1, SMALL - 1, SMALL, SMALL + 1, LARGE, LARGE + 1, 3 * LARGE] {
            let bytes: Vec<u8> = (0..size).map(|at| at as u8).collect();
            let mut buffer = Buffer::of(bytes.clone());
            assert!(*buffer == bytes);
            assert_eq!(buffer.is_full(), size >= LARGE);
            buffer.consume(size / 2);
            assert!(*buffer == bytes[size / 2..]);
            buffer.consume(size);
            assert!(buffer.is_empty());
        }
        // No other storage is kept for others.
        for _ in 0..2 * KEPT {
            assert_eq!((take(false).len(), take(true).len()), (SMALL, LARGE));
        }
    }
}
