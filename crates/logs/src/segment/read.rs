//! Reads a segment, block by block, without reading what nobody asked for.
//!
//! Files are open only while something is read from them: a query over all instances has thousands of them. A
//! segment that is packed while it is read goes on to be read from its packed file.

use std::{io, os::unix::fs::FileExt, path::Path, sync::Arc};

use super::{
    Segment,
    block::{Block, LINES, PIECE, Text},
    data_path,
    mark::{HEADER_LEN, MARK_LEN, Mark},
    mark_offset, marks_path, open_to_read,
    pack::{Pack, index_path, pack_path},
};
use crate::{
    index::{Hits, Index, Plan},
    line::Stream,
};

/// Marks read in one go.
const MARKS: u32 = 128;
/// Bytes read in one go, at least: marks of a slow writer describe a line each.
const WINDOW: usize = 64 * 1024;

/// A segment as it was at one moment.
#[derive(Debug)]
pub(crate) struct SegmentView {
    pub(super) dir: Arc<Path>,
    pub(super) stream: Stream,
    pub(super) segment: Segment,
}

impl SegmentView {
    pub(super) fn new(dir: Arc<Path>, stream: Stream, segment: Segment) -> Self {
        Self { dir, stream, segment }
    }

    /// How many marks describe it.
    pub(super) fn marks(&self) -> u32 {
        self.segment.marks + self.segment.unwritten.len() as u32
    }

    /// Place of the first line of its last mark.
    pub(crate) fn last_seq(&self) -> u64 {
        self.segment.last.seq
    }

    fn read_data(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        open_to_read(&data_path(&self.dir, self.stream, self.segment.base))?.read_exact_at(bytes, at)
    }

    fn read_marks(&self, records: &mut [u8], at: u64) -> io::Result<()> {
        open_to_read(&marks_path(&self.dir, self.stream, self.segment.base))?.read_exact_at(records, at)
    }

    fn pack(&self) -> io::Result<Packed> {
        let id = self.segment.packed.as_ref().map(|packed| packed.files[0]);
        let pack = Pack::open(pack_path(&self.dir, self.stream, self.segment.base), id)?;
        let mut marks = pack.marks()?;
        // What came after this moment is not in it.
        marks.truncate(marks.partition_point(|mark| mark.done <= self.segment.last.done));
        Ok(Packed { marks, pack, hits: None })
    }

    /// What its index says to a plan, when there is one that can be read.
    fn hits(&self, plan: &Plan) -> Option<Hits> {
        let id = self.segment.packed.as_ref().map(|packed| packed.files[1]);
        let found = Index::open(index_path(&self.dir, self.stream, self.segment.base), id)
            .and_then(|index| plan.hits(&index))
            .map(|hits| (hits.maybe.lines() == self.segment.last.lines).then_some(hits));
        match found {
            Ok(Some(hits)) => Some(hits),
            Ok(None) | Err(_) => {
                self.segment.no_index();
                None
            }
        }
    }
}

/// Which blocks come after each other, and so what is read in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Back,
    On,
}

/// One segment.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) view: SegmentView,
    direction: Direction,
    source: Source,
    /// Back: how many marks are left. On: the next one.
    at: u32,
    /// Where the part of the segment begins, or ends, whose blocks were returned.
    passed: u32,
}

#[derive(Debug)]
enum Source {
    Raw(Raw),
    Packed(Box<Packed>),
}

/// Parts of the raw files.
#[derive(Debug, Default)]
struct Raw {
    /// Some of the marks in the file, from index `loaded` on; `None` where one is damaged.
    chunk: Vec<Option<Mark>>,
    loaded: u32,
    window: Vec<u8>,
    window_at: u32,
}

#[derive(Debug)]
struct Packed {
    pack: Pack,
    marks: Vec<Mark>,
    hits: Option<Hits>,
}

impl Reader {
    pub(super) fn new(view: SegmentView, direction: Direction) -> io::Result<Self> {
        let at = if direction == Direction::Back { view.marks() } else { 0 };
        let passed = if direction == Direction::Back { view.segment.last.done } else { 0 };
        let source = match &view.segment.packed {
            Some(_) => Source::Packed(Box::new(view.pack()?)),
            None => Source::Raw(Raw::default()),
        };
        Ok(Self { view, direction, source, at, passed })
    }

    /// Only blocks with lines that may have what `plan` asks for, where an index knows.
    pub(super) fn only(&mut self, plan: &Plan) {
        if let Source::Packed(packed) = &mut self.source {
            packed.hits = self.view.hits(plan);
        }
    }

    /// What an index says of its lines.
    pub(super) fn hits(&self) -> Option<&Hits> {
        match &self.source {
            Source::Packed(packed) => packed.hits.as_ref(),
            Source::Raw(_) => None,
        }
    }

    pub(super) fn is_packed(&self) -> bool {
        matches!(self.source, Source::Packed(_))
    }

    /// Lets go what was read ahead; it is read again when it is needed.
    pub(super) fn rest(&mut self) {
        match &mut self.source {
            Source::Raw(raw) => *raw = Raw::default(),
            Source::Packed(packed) => packed.pack.rest(),
        }
    }

    /// How many marks it has.
    pub(super) fn marks(&self) -> u32 {
        match &self.source {
            Source::Packed(packed) => packed.marks.len() as u32,
            Source::Raw(_) => self.view.marks(),
        }
    }

    /// The next block in its direction.
    pub(super) fn next(&mut self) -> io::Result<Option<Block>> {
        loop {
            let at = self.at;
            let Some(index) = self.step() else { return Ok(None) };
            match self.block(index) {
                Ok(block) => {
                    self.passed = if self.direction == Direction::Back { block.start } else { block.end };
                    return Ok(Some(block));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.moved()? => {}
                Err(error) => {
                    // What is damaged is passed.
                    self.at = if error.kind() == io::ErrorKind::InvalidData { self.at } else { at };
                    return Err(error);
                }
            }
        }
    }

    /// The next mark.
    fn step(&mut self) -> Option<u32> {
        if self.direction == Direction::On {
            self.at += 1;
            return (self.at <= self.marks()).then(|| self.at - 1);
        }
        if let Source::Packed(packed) = &self.source
            && let Some(hits) = &packed.hits
        {
            let end = packed.marks[..self.at as usize].last()?.lines;
            let line = hits.maybe.last_before(end)?;
            self.at = packed.marks.partition_point(|mark| mark.lines <= line) as u32;
            return Some(self.at);
        }
        self.at = self.at.checked_sub(1)?;
        Some(self.at)
    }

    /// Goes on with the packed file, when there is one. Whether there is.
    fn moved(&mut self) -> io::Result<bool> {
        if self.is_packed() {
            return Ok(false);
        }
        let packed = match self.view.pack() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            packed => packed?,
        };
        // Every mark of the raw segment is one of the packed one.
        self.at = packed.marks.partition_point(|mark| mark.done <= self.passed) as u32;
        self.source = Source::Packed(Box::new(packed));
        Ok(true)
    }

    /// Goes to the last mark whose first line is not after the place `seq`, or to the first one.
    pub(super) fn seek(&mut self, seq: u64) -> io::Result<()> {
        self.at = match self.first_from(seq) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.moved()? => self.first_from(seq)?,
            found => found?,
        };
        Ok(())
    }

    /// Who follows is mostly near the end, so that is looked at first.
    fn first_from(&mut self, seq: u64) -> io::Result<u32> {
        const NEAR: u32 = 100;
        let marks = self.marks();
        let (mut low, mut high) = (0, marks);
        let mut probe = marks.saturating_sub(NEAR);
        while low < high {
            // A damaged mark is passed later; before it lies nothing that is lost by beginning there.
            let before = match self.mark(probe) {
                Ok(mark) => mark.seq <= seq,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => false,
                Err(error) => return Err(error),
            };
            if before {
                low = probe + 1
            } else {
                high = probe
            }
            probe = low + (high - low) / 2;
        }
        Ok(low.saturating_sub(1))
    }

    /// The block that the mark `index` describes.
    pub(super) fn block(&mut self, index: u32) -> io::Result<Block> {
        let mark = self.mark(index)?;
        let begins = Mark { context: self.view.segment.begins, ..Mark::default() };
        let before = if index > 0 { self.mark(index - 1)? } else { begins };
        Ok(Block {
            start: before.done,
            end: mark.done,
            first: before.lines,
            seq: mark.seq,
            lines: u64::from(mark.lines.saturating_sub(before.lines)),
            wall: mark.wall,
            context: before.context,
            cut: mark.context.continues,
            open: false,
            note: mark.note,
        })
    }

    pub(super) fn mark(&mut self, index: u32) -> io::Result<Mark> {
        match &mut self.source {
            Source::Packed(packed) => packed.marks.get(index as usize).copied().ok_or_else(damaged),
            Source::Raw(raw) => raw.mark(&self.view, self.direction, index),
        }
    }

    /// Some of the first lines of a block, and what is left of it.
    pub(super) fn read_some(&mut self, block: &Block) -> io::Result<(Text, Option<Block>)> {
        let end = block.end.min(block.start + PIECE as u32);
        if end == block.end && block.lines <= LINES as u64 {
            return Ok((self.read(block)?, None));
        }
        let (text, left) = Text::cut_some(self.text(block.start, end)?, block);
        if text.len() == 0 { Err(damaged()) } else { Ok((text, Some(left).filter(|left| left.lines > 0))) }
    }

    /// The lines of a block.
    pub(super) fn read(&mut self, block: &Block) -> io::Result<Text> {
        let bytes = self.text(block.start, block.end)?;
        Ok(Text::cut(bytes, block).judged(block, self.hits()))
    }

    fn text(&mut self, start: u32, end: u32) -> io::Result<Vec<u8>> {
        if let Source::Raw(raw) = &mut self.source {
            match raw.text(&self.view, self.direction, start, end) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if !self.moved()? {
                        return Err(error);
                    }
                }
                text => return text,
            }
        }
        match &mut self.source {
            Source::Packed(packed) => packed.pack.text(start..end),
            Source::Raw(_) => Err(damaged()),
        }
    }
}

impl Raw {
    fn mark(&mut self, view: &SegmentView, direction: Direction, index: u32) -> io::Result<Mark> {
        if let Some(unwritten) = index.checked_sub(view.segment.marks) {
            return view.segment.unwritten.get(unwritten as usize).copied().ok_or_else(damaged);
        }
        if !(self.loaded..self.loaded + self.chunk.len() as u32).contains(&index) {
            // One mark of overlap: a block needs the mark before it.
            let (first, end) = match direction {
                Direction::Back => ((index + 1).saturating_sub(MARKS), index + 1),
                Direction::On => (index.saturating_sub(1), (index + MARKS).min(view.segment.marks)),
            };
            let mut records = vec![0; (end - first) as usize * MARK_LEN];
            view.read_marks(&mut records, mark_offset(first))?;
            self.chunk = records.chunks_exact(MARK_LEN).map(Mark::decode).collect();
            self.loaded = first;
        }
        self.chunk[(index - self.loaded) as usize].ok_or_else(damaged)
    }

    fn text(
        &mut self,
        view: &SegmentView,
        direction: Direction,
        start: u32,
        end: u32,
    ) -> io::Result<Vec<u8>> {
        let length = end.checked_sub(start).ok_or_else(damaged)? as usize;
        if length >= WINDOW {
            let mut bytes = vec![0; length];
            view.read_data(&mut bytes, u64::from(start))?;
            return Ok(bytes);
        }
        let window = self.window_at..self.window_at + self.window.len() as u32;
        if start < window.start || end > window.end {
            let mut fresh = std::mem::take(&mut self.window);
            let (from, to) = match direction {
                Direction::Back => (end.saturating_sub(WINDOW as u32), end),
                Direction::On => (start, view.segment.last.done.clamp(end, start + WINDOW as u32)),
            };
            self.window_at = from;
            fresh.resize((to - from) as usize, 0);
            view.read_data(&mut fresh, u64::from(self.window_at))?;
            self.window = fresh;
        }
        let at = (start - self.window_at) as usize;
        Ok(self.window[at..at + length].to_vec())
    }
}

/// Whether an error means that the files are not as they were when the reading began.
pub(crate) fn is_stale(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound)
}

pub(super) fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a record in a marks file is damaged")
}

const _: () = assert!(HEADER_LEN == MARK_LEN, "marks are aligned to their size");
