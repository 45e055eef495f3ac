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
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use super::mark::Mark;
use crate::{
    blocks::{BlockFile, FileId},
    line::Stream,
    zst::damaged,
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
    let pack = Pack::open(pack_path(dir, stream, base), None)?;
    let index = index_path(dir, stream, base).metadata().map(|index| index.len());
    let size = pack.file.len()? + index.as_ref().copied().unwrap_or(0);
    Ok((Packed { summary: pack.summary, size }, index.is_ok()))
}

/// A packed segment, open.
#[derive(Debug)]
pub(super) struct Pack {
    file: BlockFile,
    summary: Summary,
    frames: Vec<Frame>,
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
    pub(super) fn open(path: PathBuf, id: Option<FileId>) -> io::Result<Self> {
        let file = BlockFile::new(path, id);
        let description = file.description(description)?;
        let (summary, table) = description
            .split_at_checked(Summary::LEN)
            .and_then(|(summary, table)| Some((Summary::decode(summary)?, table)))
            .ok_or(damaged("the summary of a packed log is damaged"))?;
        let mut frames = Vec::with_capacity(table.len() / ENTRY);
        let (mut at, mut start) = (0, 0u32);
        for entry in table.chunks_exact(ENTRY) {
            let (packed, lines) = (u32_at(entry, 0), u32_at(entry, 4));
            frames.push(Frame { start, lines, at, packed });
            at += u64::from(packed);
            start = start.checked_add(lines).ok_or(damaged("the seek table of a packed log is damaged"))?;
        }
        if u64::from(start) != summary.len {
            return Err(damaged("a packed log has another length than it says"));
        }
        Ok(Self { file, summary, frames })
    }

    /// All marks.
    pub(super) fn marks(&self) -> io::Result<Vec<Mark>> {
        let end = self.frames.last().map_or(0, |last| last.at + u64::from(last.packed));
        let raw =
            self.file.expand(end + SKIPPABLE as u64, self.summary.marks_packed, self.summary.marks_raw)?;
        marks::decode(&raw, self.summary.marks).ok_or(damaged("the marks of a packed log are damaged"))
    }

    /// Closes the file until it is needed again.
    pub(super) fn rest(&mut self) {
        self.file.rest();
    }

    /// The bytes between two offsets of the segment; [`io::ErrorKind::UnexpectedEof`] where it has no such.
    pub(super) fn text(&self, range: Range<u32>) -> io::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(range.len());
        let mut at = range.start;
        while at < range.end {
            let index = self.frames.partition_point(|frame| frame.start <= at).checked_sub(1);
            let index = index.ok_or(io::ErrorKind::UnexpectedEof)?;
            let frame = self.frames[index];
            let lines = self.file.expand(frame.at, frame.packed, frame.lines)?;
            let from = (at - frame.start) as usize;
            let to = lines.len().min((range.end - frame.start) as usize);
            let part = lines.get(from..to).filter(|part| !part.is_empty());
            text.extend_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
            at = frame.start + to as u32;
        }
        Ok(text)
    }
}

/// The summary of a packed file, and the entries of its seek table.
fn description(file: &BlockFile) -> io::Result<Vec<u8>> {
    const TAIL: usize = 4096;
    let size = file.len()?;
    let tail = |length: usize| {
        let length = length.min(usize::try_from(size).unwrap_or(usize::MAX));
        file.read(size - length as u64, length)
    };
    let mut end = tail(TAIL)?;
    let footer = end.len().checked_sub(FOOTER).ok_or(damaged("a packed log is too short"))?;
    if u32_at(&end, footer + 5) != SEEKABLE || end[footer + 4] != 0 {
        return Err(damaged("a packed log has no seek table"));
    }
    let table = u32_at(&end, footer) as usize * ENTRY;
    let described = SKIPPABLE + Summary::LEN + SKIPPABLE + table + FOOTER;
    if described > end.len() {
        end = tail(described)?;
    }
    let begin = end.len().checked_sub(described).ok_or(damaged("a packed log is too short"))?;
    let summary = &end[begin + SKIPPABLE..][..Summary::LEN];
    let entries = &end[begin + SKIPPABLE + Summary::LEN + SKIPPABLE..][..table];
    let known = Summary::decode(summary).ok_or(damaged("the summary of a packed log is damaged"))?;
    let frames: u64 = entries.chunks_exact(ENTRY).map(|entry| u64::from(u32_at(entry, 0))).sum();
    if frames + SKIPPABLE as u64 + u64::from(known.marks_packed) + described as u64 != size {
        return Err(damaged("a packed log has another length than it says"));
    }
    Ok([summary, entries].concat())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

#[cfg(test)]
mod tests;
