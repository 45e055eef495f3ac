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

    /// What is returned depends on the bytes alone, never on how many of them have arrived: where more could
    /// change the answer, there is none yet.
    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let rest = &self.bytes[start..];
        if let Some((text, end)) = line(rest) {
            self.at = start + end;
            let part = if std::mem::take(&mut self.continues) { Part::Last } else { Part::Whole };
            Some((start..start + text, part))
        } else {
            self.at = start + seam(rest)?;
            self.continues = true;
            Some((start..self.at, Part::Cut))
        }
    }
}

/// The length of the first line of `text` without and with its end, when it is there and not too long.
fn line(text: &[u8]) -> Option<(usize, usize)> {
    let longest = MAX_LINE + b"\r\n".len();
    let newline = memchr(b'\n', &text[..text.len().min(longest)])?;
    let line = &text[..newline];
    let length = line.strip_suffix(b"\r").unwrap_or(line).len();
    (length <= MAX_LINE).then_some((length, newline + 1))
}

/// Where a line is cut that is too long, once it is known to be: not within a character.
fn seam(text: &[u8]) -> Option<usize> {
    match text.get(MAX_LINE..)? {
        [] | [b'\r'] => return None,
        _ => {}
    }
    let lead = (MAX_LINE - 3..MAX_LINE).rev().find(|&at| !is_continuation(text[at]));
    let Some(lead) = lead.filter(|_| is_continuation(text[MAX_LINE])) else { return Some(MAX_LINE) };
    // A character has four bytes at most.
    match std::str::from_utf8(&text[lead..text.len().min(lead + 4)]) {
        Ok(_) => Some(lead),
        Err(error) if lead + error.valid_up_to() > MAX_LINE => Some(lead),
        Err(error) if error.error_len().is_none() && error.valid_up_to() == 0 => None,
        Err(_) => Some(MAX_LINE),
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests;
