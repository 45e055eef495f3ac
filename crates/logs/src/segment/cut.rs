//! Where lines begin and end.

use std::ops::Range;

use memchr::memchr;

use crate::line::Part;

/// A line longer than this is cut into parts.
pub(crate) const MAX_LINE: usize = 64 * 1024;

/// Cuts `bytes` into completed lines; what [`Cutter::rest`] leaves is the beginning of one.
#[derive(Debug)]
pub(crate) struct Cutter<'a> {
    bytes: &'a [u8],
    at: usize,
    continues: bool,
}

impl<'a> Cutter<'a> {
    /// `continues`: the first byte continues a line that was cut for its length.
    pub(crate) fn new(bytes: &'a [u8], continues: bool) -> Self {
        Self { bytes, at: 0, continues }
    }

    /// The offset after the last completed line.
    pub(crate) fn rest(&self) -> usize {
        self.at
    }

    /// The next byte continues a line that was cut for its length.
    pub(crate) fn continues(&self) -> bool {
        self.continues
    }
}

impl Iterator for Cutter<'_> {
    type Item = (Range<usize>, Part);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let window = &rest[..rest.len().min(MAX_LINE + 1)];
        if let Some(newline) = memchr(b'\n', window) {
            self.at = start + newline + 1;
            let part = if std::mem::take(&mut self.continues) { Part::Last } else { Part::Whole };
            let text = window[..newline].strip_suffix(b"\r").unwrap_or(&window[..newline]);
            Some((start..start + text.len(), part))
        } else if window.len() > MAX_LINE {
            self.at = start + MAX_LINE;
            self.continues = true;
            Some((start..self.at, Part::Cut))
        } else {
            None
        }
    }
}
