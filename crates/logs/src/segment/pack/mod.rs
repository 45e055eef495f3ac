//! A closed segment, packed: one file that `zstd -d` makes the log of again.
//!
//! ```text
//! stdout-00000000000000000000.zst
//!   frame, frame, …         lines, about 64 KiB of them each, with a checksum
//!   skippable: marks        one frame of all marks; every frame of lines begins with one
//!   skippable: summary      fixed size, what is kept in memory of the segment
//!   skippable: seek table   lengths of the frames, as zstd's seekable format has it
//! stdout-00000000000000000000.idx    words to lines, see `index`
//! ```
//!
//! It comes into being beside the raw segment under another name, is synced and then renamed, and only after that
//! the raw files go. So at a crash there is one of both, or both with the same lines. The index is derived: it is
//! never synced and made again when it is missing.

mod marks;
mod salvage;
mod summary;
mod write;

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::mark::Mark;
use crate::{
    line::Stream,
    zst::{damaged, expand},
};
pub(super) use salvage::salvage;
pub(crate) use summary::Summary;
pub(crate) use write::{Packed, pack, reindex};

/// What precedes the content of a skippable frame: a magic number and the length.
const SKIPPABLE: usize = 8;
/// The magic number of ours.
const OURS: u32 = 0x184d_2a5d;
/// That of a seek table, and what it ends with.
const SEEK_TABLE: u32 = 0x184d_2a5e;
const SEEKABLE: u32 = 0x8f92_eab1;
const FOOTER: usize = 9;
const ENTRY: usize = 8;

pub(crate) fn pack_path(dir: &Path, stream: Stream, base: u64) -> PathBuf {
    dir.join(format!("{}-{base:020}.zst", stream.as_str()))
}

pub(crate) fn index_path(dir: &Path, stream: Stream, base: u64) -> PathBuf {
    dir.join(format!("{}-{base:020}.idx", stream.as_str()))
}

/// What is kept in memory of a packed segment, and whether it has an index.
///
/// # Errors
/// As [`Pack::open`].
pub(super) fn find(dir: &Path, stream: Stream, base: u64) -> io::Result<(Packed, bool)> {
    let pack = Pack::open(&pack_path(dir, stream, base))?;
    let index = index_path(dir, stream, base).metadata().map(|index| index.len());
    let size = pack.file.metadata()?.len() + index.as_ref().copied().unwrap_or(0);
    Ok((Packed { summary: pack.summary, size }, index.is_ok()))
}

/// A packed segment, open.
#[derive(Debug)]
pub(super) struct Pack {
    file: File,
    summary: Summary,
    frames: Vec<Frame>,
    /// The frame that was read last.
    last: Option<(usize, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Where its lines begin in the segment.
    start: u32,
    lines: u32,
    /// Where it is in the file.
    at: u64,
    packed: u32,
}

impl Pack {
    /// # Errors
    /// There is none, it cannot be read, or (as [`io::ErrorKind::InvalidData`]) it is damaged.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        const TAIL: u64 = 4096;
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut tail = tail(&file, size, TAIL)?;
        let footer = tail.len().checked_sub(FOOTER).ok_or(damaged("a packed log is too short"))?;
        if u32_at(&tail, footer + 5) != SEEKABLE || tail[footer + 4] != 0 {
            return Err(damaged("a packed log has no seek table"));
        }
        let count = u32_at(&tail, footer) as usize;
        let table = SKIPPABLE + count * ENTRY + FOOTER;
        let described = SKIPPABLE + Summary::LEN + table;
        if described > tail.len() {
            tail = self::tail(&file, size, described as u64)?;
        }
        let begin = tail.len().checked_sub(described).ok_or(damaged("a packed log is too short"))?;
        let summary = Summary::decode(&tail[begin + SKIPPABLE..begin + SKIPPABLE + Summary::LEN])
            .ok_or(damaged("the summary of a packed log is damaged"))?;
        let (mut frames, mut at, mut start) = (Vec::with_capacity(count), 0, 0);
        for entry in tail[tail.len() - FOOTER - count * ENTRY..tail.len() - FOOTER].chunks_exact(ENTRY) {
            let (packed, lines) = (u32_at(entry, 0), u32_at(entry, 4));
            frames.push(Frame { start, lines, at, packed });
            at += u64::from(packed);
            start = lines.checked_add(start).ok_or(damaged("the seek table of a packed log is damaged"))?;
        }
        let marks = SKIPPABLE as u64 + u64::from(summary.marks_packed);
        if u64::from(start) != summary.len || at + marks + described as u64 != size {
            return Err(damaged("a packed log has another length than it says"));
        }
        Ok(Self { file, summary, frames, last: None })
    }

    /// All marks.
    pub(super) fn marks(&self) -> io::Result<Vec<Mark>> {
        let end = self.frames.last().map_or(0, |last| last.at + u64::from(last.packed));
        let mut packed = vec![0; self.summary.marks_packed as usize];
        self.file.read_exact_at(&mut packed, end + SKIPPABLE as u64)?;
        let raw = expand(&packed, self.summary.marks_raw)?;
        marks::decode(&raw, self.summary.marks).ok_or(damaged("the marks of a packed log are damaged"))
    }

    /// The bytes between two offsets of the segment; [`io::ErrorKind::UnexpectedEof`] where it has no such.
    pub(super) fn text(&mut self, range: Range<u32>) -> io::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(range.len());
        let mut at = range.start;
        while at < range.end {
            let index = self.frames.partition_point(|frame| frame.start <= at).checked_sub(1);
            let index = index.ok_or(io::ErrorKind::UnexpectedEof)?;
            let frame = self.frames[index];
            let lines = self.frame(index)?;
            let from = (at - frame.start) as usize;
            let to = lines.len().min((range.end - frame.start) as usize);
            let part = lines.get(from..to).filter(|part| !part.is_empty());
            text.extend_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
            at = frame.start + to as u32;
        }
        Ok(text)
    }

    fn frame(&mut self, index: usize) -> io::Result<&[u8]> {
        if self.last.as_ref().is_none_or(|(last, _)| *last != index) {
            let frame = self.frames[index];
            let mut packed = vec![0; frame.packed as usize];
            self.file.read_exact_at(&mut packed, frame.at)?;
            self.last = Some((index, expand(&packed, frame.lines)?));
        }
        Ok(self.last.as_ref().map_or(&[], |(_, lines)| lines))
    }
}

/// The last bytes of a file, `length` of them or all.
fn tail(file: &File, size: u64, length: u64) -> io::Result<Vec<u8>> {
    let length = length.min(size);
    let mut tail = vec![0; usize::try_from(length).map_err(|_| damaged("a packed log is too long"))?];
    file.read_exact_at(&mut tail, size - length)?;
    Ok(tail)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

#[cfg(test)]
mod tests;
