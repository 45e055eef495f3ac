//! Zstandard frames (RFC 8878), each with a checksum of what is in it.

use std::{cell::RefCell, io};

use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::{CParameter, compress_bound},
};

/// Fast enough for a log that is written all day: higher levels take several times as long for a tenth less.
const LEVEL: i32 = 3;

/// Makes frames.
pub(crate) struct Press(Compressor<'static>);

impl Press {
    pub(crate) fn new() -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self(compressor))
    }

    /// Appends a frame of `raw`. Its length.
    pub(crate) fn frame(&mut self, raw: &[u8], into: &mut Vec<u8>) -> io::Result<u32> {
        let start = into.len();
        into.resize(start + compress_bound(raw.len()), 0);
        let length = self.0.compress_to_buffer(raw, &mut into[start..])?;
        into.truncate(start + length);
        u32::try_from(length).map_err(|_| damaged("a frame is too long"))
    }
}

/// What is in a frame: `length` bytes.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] when it is damaged.
pub(crate) fn expand(frame: &[u8], length: u32) -> io::Result<Vec<u8>> {
    thread_local!(static EXPANDER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) });
    EXPANDER.with_borrow_mut(|expander| {
        let expander = match expander {
            Some(expander) => expander,
            None => expander.insert(Decompressor::new()?),
        };
        let mut raw = vec![0; length as usize];
        match expander.decompress_to_buffer(frame, &mut raw[..]) {
            Ok(expanded) if expanded == raw.len() => Ok(raw),
            Ok(_) => Err(damaged("a frame has another length than is said")),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    })
}

pub(crate) fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_gives_back_what_is_in_it_or_says_that_it_is_damaged() {
        let raw = b"a line of text\n".repeat(1000);
        let mut frame = Vec::new();
        let length = Press::new().unwrap().frame(&raw, &mut frame).unwrap();
        assert!(length as usize == frame.len() && frame.len() < 200);
        assert_eq!(expand(&frame, raw.len() as u32).unwrap(), raw);
        let damaged = |error: io::Error| error.kind() == io::ErrorKind::InvalidData;
        assert!(damaged(expand(&frame, raw.len() as u32 - 1).unwrap_err()));
        assert!(damaged(expand(&frame, raw.len() as u32 + 1).unwrap_err()));
        for at in 0..frame.len() {
            let mut bad = frame.clone();
            bad[at] ^= 0x10;
            // The format has bits that say nothing.
            if let Ok(text) = expand(&bad, raw.len() as u32) {
                assert_eq!(text, raw);
            }
        }
    }
}
