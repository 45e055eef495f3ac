//! Reads a stream backwards, block by block, without reading what nobody asked for.
//!
//! Files are open only while something is read from them: a query over all instances has thousands of them.

use std::{collections::VecDeque, fs::File, io, ops::Range, os::unix::fs::FileExt, path::Path, sync::Arc};

use tenement_core::{name::InstanceName, time::WallMillis};

use super::{
    Segment,
    cut::{Cutter, MAX_LINE},
    data_path,
    mark::{Context, HEADER_LEN, MARK_LEN, Mark},
    mark_offset, marks_path,
};
use crate::{
    level::{Level, Tracebacks, level_of, may_hold_traceback},
    line::{LogLine, Part, Stream},
};

/// Marks read in one go.
const MARKS: u32 = 128;
/// Bytes read in one go, at least: marks of a slow writer describe a line each.
const WINDOW: usize = 64 * 1024;
/// The most bytes of a block whose lines are looked for in one go where not all of them are needed, and the most
/// lines that are.
const PIECE: usize = 72 * 1024;
const LINES: usize = 1024;
const _: () = assert!(PIECE > MAX_LINE + 4, "a piece shows where a line is cut");

/// A segment as it was at one moment.
#[derive(Debug)]
pub(crate) struct SegmentView {
    dir: Arc<Path>,
    stream: Stream,
    segment: Segment,
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
    pub(super) fn last_seq(&self) -> u64 {
        self.segment.last.seq
    }

    fn read_data(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        File::open(data_path(&self.dir, self.stream, self.segment.base))?.read_exact_at(bytes, at)
    }

    fn read_marks(&self, records: &mut [u8], at: u64) -> io::Result<()> {
        File::open(marks_path(&self.dir, self.stream, self.segment.base))?.read_exact_at(records, at)
    }
}

/// Lines that arrived in one go, not read yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// Where its text lies in the segment.
    start: u32,
    end: u32,
    /// Place of its first line.
    pub(crate) seq: u64,
    /// How many lines.
    pub(crate) lines: u64,
    /// When they arrived.
    pub(crate) wall: WallMillis,
    /// What holds at its beginning.
    context: Context,
    /// Its last line was cut for its length.
    cut: bool,
    /// Its only line has no end yet.
    open: bool,
}

impl Segment {
    /// The line that has not ended, which will probably get the place `seq`.
    fn open_line(&self, seq: u64) -> Option<Block> {
        (self.open_bytes() > 0).then(|| Block {
            start: self.last.done,
            end: u32::try_from(self.len).unwrap_or(u32::MAX),
            seq,
            lines: 1,
            wall: self.written,
            context: self.last.context,
            cut: false,
            open: true,
        })
    }
}

/// The lines of a block.
#[derive(Debug, Default)]
pub(crate) struct Text {
    bytes: Vec<u8>,
    lines: Vec<Found>,
    /// Place of the first line.
    seq: u64,
    /// When they arrived.
    pub(crate) wall: WallMillis,
}

#[derive(Debug)]
struct Found {
    range: Range<usize>,
    part: Part,
    traceback: bool,
}

/// A line in the text of its block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineRef<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) part: Part,
    pub(crate) seq: u64,
    traceback: bool,
}

impl LineRef<'_> {
    pub(crate) fn level(&self, stream: Stream) -> Level {
        if self.traceback { Level::Error } else { level_of(stream, self.bytes) }
    }

    /// As it is handed out.
    pub(crate) fn of(&self, instance: &InstanceName, stream: Stream, timestamp: WallMillis) -> LogLine {
        self.with_level(instance, stream, timestamp, self.level(stream))
    }

    /// The same, when its level is known.
    pub(crate) fn with_level(
        &self,
        instance: &InstanceName,
        stream: Stream,
        timestamp: WallMillis,
        level: Level,
    ) -> LogLine {
        LogLine {
            timestamp,
            instance: instance.clone(),
            stream,
            seq: self.seq,
            level,
            bytes: self.bytes.to_vec(),
            part: self.part,
        }
    }
}

impl Text {
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// All of it, line ends included.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The line at `index`; there must be one.
    pub(crate) fn line(&self, index: usize) -> LineRef<'_> {
        let found = &self.lines[index];
        LineRef {
            bytes: &self.bytes[found.range.clone()],
            part: found.part,
            seq: self.seq + index as u64,
            traceback: found.traceback,
        }
    }

    fn cut(bytes: Vec<u8>, block: &Block) -> Self {
        let mut cutter = Cutter::new(&bytes, block.context.continues);
        let mut lines: Vec<(Range<usize>, Part)> = cutter.by_ref().collect();
        let rest = cutter.rest()..bytes.len();
        if !rest.is_empty() {
            let part = match (block.open, block.cut, cutter.continues()) {
                (true, ..) => Part::Open,
                (_, true, _) => Part::Cut,
                (_, _, true) => Part::Last,
                _ => Part::Whole,
            };
            lines.push((rest, part));
        }
        let mut tracebacks = Tracebacks::new(block.context.traceback);
        let watch = block.context.traceback || may_hold_traceback(&bytes);
        let found = |(range, part): (Range<usize>, Part)| {
            let traceback = watch && tracebacks.follow(&bytes[range.clone()]);
            Found { range, part, traceback }
        };
        let lines = lines.into_iter().map(found).collect();
        Self { bytes, lines, seq: block.seq, wall: block.wall }
    }

    /// The first lines, few, that end in the beginning `bytes` of a block, and what is left of it.
    fn cut_some(mut bytes: Vec<u8>, block: &Block) -> (Self, Block) {
        let mut cutter = Cutter::new(&bytes, block.context.continues);
        let mut tracebacks = Tracebacks::new(block.context.traceback);
        let watch = block.context.traceback || may_hold_traceback(&bytes);
        let mut lines = Vec::new();
        for (range, part) in cutter.by_ref().take(LINES) {
            let traceback = watch && tracebacks.follow(&bytes[range.clone()]);
            lines.push(Found { range, part, traceback });
        }
        let rest = cutter.rest();
        let left = Block {
            start: block.start + rest as u32,
            seq: block.seq + lines.len() as u64,
            lines: block.lines.saturating_sub(lines.len() as u64),
            context: Context { continues: cutter.continues(), traceback: tracebacks.inside() },
            ..*block
        };
        bytes.truncate(rest);
        (Self { bytes, lines, seq: block.seq, wall: block.wall }, left)
    }
}

/// Goes through the blocks of a stream from the newest to the oldest.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// Segments that were not reached yet, oldest first.
    segments: VecDeque<SegmentView>,
    current: Option<Reader>,
    next: Option<Block>,
    /// The newest segment was not left yet.
    newest: bool,
    /// Goes on without what is not there any more.
    lenient: bool,
}

impl Cursor {
    /// `open_seq`: the place an unfinished line will probably get. `lenient`: what went away since `segments`
    /// were looked at is left out; otherwise it is an error ([`is_stale`]) where its lines may have moved on.
    pub(crate) fn new(segments: Vec<SegmentView>, open_seq: u64, lenient: bool) -> io::Result<Self> {
        let mut cursor = Self { segments: segments.into(), current: None, next: None, newest: true, lenient };
        cursor.current = cursor.segments.pop_back().map(Reader::back);
        let open = cursor.current.as_ref().and_then(|reader| reader.view.segment.open_line(open_seq));
        match open {
            Some(open) => cursor.next = Some(open),
            None => cursor.advance()?,
        }
        Ok(cursor)
    }

    /// The newest block that was not passed yet.
    pub(crate) fn peek(&self) -> Option<&Block> {
        self.next.as_ref()
    }

    /// Reads the block that [`Self::peek`] shows, and passes it. `None` when it is not there any more.
    pub(crate) fn read(&mut self) -> io::Result<Option<Text>> {
        let (Some(block), Some(reader)) = (self.next, &mut self.current) else { return Ok(None) };
        let text = match reader.read(&block) {
            Ok(text) => Some(text),
            Err(error) => self.without(error).map(|()| None)?,
        };
        self.advance()?;
        Ok(text)
    }

    /// Passes a block without reading it.
    pub(crate) fn advance(&mut self) -> io::Result<()> {
        self.next = None;
        while let Some(reader) = &mut self.current {
            match reader.previous() {
                Ok(Some(block)) => {
                    self.next = Some(block);
                    return Ok(());
                }
                Ok(None) => {
                    self.newest = false;
                    self.current = self.segments.pop_back().map(Reader::back);
                }
                Err(error) => self.without(error)?,
            }
        }
        Ok(())
    }

    /// Goes on without what is not there, where that is no error: retention takes segments, and all before
    /// them, any time. Of the newest segment that can't be said: it may have been split. What is damaged keeps
    /// nobody from reading the rest.
    fn without(&mut self, error: io::Error) -> io::Result<()> {
        let retained = error.kind() == io::ErrorKind::NotFound && !self.newest;
        let left_out = self.lenient && is_stale(&error);
        let damaged = error.kind() == io::ErrorKind::InvalidData;
        if !(retained || left_out || damaged) {
            return Err(error);
        }
        if let Some(reader) = self.current.as_ref().filter(|_| damaged) {
            let folder = reader.view.dir.display();
            tracing::error!(%folder, %error, "a log is damaged; what is older can't be read");
        }
        // The end of a line that has not ended moves on alone.
        if !self.next.is_some_and(|block| block.open) {
            self.segments.clear();
            self.current = None;
        }
        Ok(())
    }
}

/// Whether an error means that the files are not as they were when the reading began.
pub(crate) fn is_stale(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound)
}

/// What a [`Reader`] reads in one go: what lies before the place that is asked for, or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Back,
    On,
}

/// One segment.
#[derive(Debug)]
pub(super) struct Reader {
    view: SegmentView,
    direction: Direction,
    /// Marks that were not returned yet.
    left: u32,
    /// Some of the marks in the file, from index `loaded` on; `None` where one is damaged.
    chunk: Vec<Option<Mark>>,
    loaded: u32,
    window: Vec<u8>,
    window_at: u32,
}

impl Reader {
    pub(super) fn new(view: SegmentView, direction: Direction) -> Self {
        let left = view.marks();
        Self { view, direction, left, chunk: Vec::new(), loaded: 0, window: Vec::new(), window_at: 0 }
    }

    fn back(view: SegmentView) -> Self {
        Self::new(view, Direction::Back)
    }

    fn previous(&mut self) -> io::Result<Option<Block>> {
        let Some(index) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = index;
        self.block(index).map(Some)
    }

    /// The block that the mark `index` describes.
    pub(super) fn block(&mut self, index: u32) -> io::Result<Block> {
        let mark = self.mark(index)?;
        let begins = Mark { context: self.view.segment.begins, ..Mark::default() };
        let before = if index > 0 { self.mark(index - 1)? } else { begins };
        Ok(Block {
            start: before.done,
            end: mark.done,
            seq: mark.seq,
            lines: u64::from(mark.lines.saturating_sub(before.lines)),
            wall: mark.wall,
            context: before.context,
            cut: mark.context.continues,
            open: false,
        })
    }

    pub(super) fn mark(&mut self, index: u32) -> io::Result<Mark> {
        if let Some(unwritten) = index.checked_sub(self.view.segment.marks) {
            return self.view.segment.unwritten.get(unwritten as usize).copied().ok_or_else(damaged);
        }
        if !(self.loaded..self.loaded + self.chunk.len() as u32).contains(&index) {
            // One mark of overlap: a block needs the mark before it.
            let (first, end) = match self.direction {
                Direction::Back => ((index + 1).saturating_sub(MARKS), index + 1),
                Direction::On => (index.saturating_sub(1), (index + MARKS).min(self.view.segment.marks)),
            };
            let mut records = vec![0; (end - first) as usize * MARK_LEN];
            self.view.read_marks(&mut records, mark_offset(first))?;
            self.chunk = records.chunks_exact(MARK_LEN).map(Mark::decode).collect();
            self.loaded = first;
        }
        self.chunk[(index - self.loaded) as usize].ok_or_else(damaged)
    }

    /// Some of the first lines of a block, and what is left of it.
    pub(super) fn read_some(&mut self, block: &Block) -> io::Result<(Text, Option<Block>)> {
        let end = block.end.min(block.start + PIECE as u32);
        if end == block.end && block.lines <= LINES as u64 {
            return Ok((self.read(block)?, None));
        }
        let (text, left) = Text::cut_some(self.text(block.start, end)?, block);
        if text.len() == 0 { Err(damaged()) } else { Ok((text, Some(left))) }
    }

    /// The lines of a block.
    pub(super) fn read(&mut self, block: &Block) -> io::Result<Text> {
        self.text(block.start, block.end).map(|bytes| Text::cut(bytes, block))
    }

    fn text(&mut self, start: u32, end: u32) -> io::Result<Vec<u8>> {
        let length = end.checked_sub(start).ok_or_else(damaged)? as usize;
        if length >= WINDOW {
            let mut bytes = vec![0; length];
            self.view.read_data(&mut bytes, u64::from(start))?;
            return Ok(bytes);
        }
        let window = self.window_at..self.window_at + self.window.len() as u32;
        if start < window.start || end > window.end {
            let mut fresh = std::mem::take(&mut self.window);
            let (from, to) = match self.direction {
                Direction::Back => (end.saturating_sub(WINDOW as u32), end),
                Direction::On => (start, self.view.segment.last.done.clamp(end, start + WINDOW as u32)),
            };
            self.window_at = from;
            fresh.resize((to - from) as usize, 0);
            self.view.read_data(&mut fresh, u64::from(self.window_at))?;
            self.window = fresh;
        }
        let at = (start - self.window_at) as usize;
        Ok(self.window[at..at + length].to_vec())
    }
}

pub(super) fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a record in a marks file is damaged")
}

const _: () = assert!(HEADER_LEN == MARK_LEN, "marks are aligned to their size");
