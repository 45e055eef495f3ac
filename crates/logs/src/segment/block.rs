//! Lines that are described by one mark, and their text.

use std::ops::Range;

use tenement_core::{name::InstanceName, time::WallMillis};

use super::{
    Segment,
    cut::{Cutter, MAX_LINE},
    mark::Context,
};
use crate::{
    index::Hits,
    level::{Level, Tracebacks, level_of, may_hold_traceback},
    line::{LogLine, Part, Stream},
};

/// The most bytes of a block whose lines are looked for in one go where not all of them are needed, and the most
/// lines that are.
pub(super) const PIECE: usize = 72 * 1024;
pub(super) const LINES: usize = 1024;
const _: () = assert!(PIECE > MAX_LINE + 4, "a piece shows where a line is cut");

/// Lines that arrived in one go, not read yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// Where its text lies in the segment.
    pub(super) start: u32,
    pub(super) end: u32,
    /// The number of its first line in the segment.
    pub(super) first: u32,
    /// Place of its first line.
    pub(crate) seq: u64,
    /// How many lines.
    pub(crate) lines: u64,
    /// When they arrived.
    pub(crate) wall: WallMillis,
    /// What holds at its beginning.
    pub(super) context: Context,
    /// Its last line was cut for its length.
    pub(super) cut: bool,
    /// Its only line has no end yet.
    pub(super) open: bool,
    /// Its lines are the daemon's own.
    pub(super) note: bool,
}

impl Segment {
    /// The line that has not ended, which will probably get the place `seq`.
    pub(super) fn open_line(&self, seq: u64) -> Option<Block> {
        (self.open_bytes() > 0).then(|| Block {
            start: self.last.done,
            end: u32::try_from(self.len).unwrap_or(u32::MAX),
            first: self.last.lines,
            seq,
            lines: 1,
            wall: self.written,
            context: self.last.context,
            cut: false,
            open: true,
            note: false,
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
    /// What an index knows of each; empty when nothing is known.
    known: Vec<Known>,
    /// The lines are the daemon's own.
    note: bool,
}

/// Whether a line has what is asked for, as far as an index knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Yes,
    No,
    Maybe,
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
    note: bool,
}

impl LineRef<'_> {
    pub(crate) fn level(&self, stream: Stream) -> Level {
        match self {
            Self { note: true, .. } => Level::Warn,
            Self { traceback: true, .. } => Level::Error,
            _ => level_of(stream, self.bytes),
        }
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
            note: self.note,
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

    /// The last line that begins at or before an offset in [`Self::bytes`], by its index, which is at least `from`,
    /// and where it lies.
    pub(crate) fn line_at(&self, offset: usize, from: usize) -> Option<(usize, Range<usize>)> {
        // Mostly it is near.
        let near = self.lines.len().min(from + 16);
        let end = if self.lines.get(near).is_some_and(|line| line.range.start <= offset) {
            self.lines.len()
        } else {
            near
        };
        let after = self.lines[from..end].partition_point(|line| line.range.start <= offset);
        let index = (from + after).checked_sub(1)?;
        Some((index, self.lines[index].range.clone()))
    }

    /// Whether anything is known of its lines.
    pub(crate) fn is_judged(&self) -> bool {
        !self.known.is_empty()
    }

    /// The line at `index`; there must be one.
    pub(crate) fn line(&self, index: usize) -> LineRef<'_> {
        let found = &self.lines[index];
        LineRef {
            bytes: &self.bytes[found.range.clone()],
            part: found.part,
            seq: self.seq + index as u64,
            traceback: found.traceback,
            note: self.note,
        }
    }

    /// What an index knows of the line at `index`.
    pub(crate) fn known(&self, index: usize) -> Known {
        self.known.get(index).copied().unwrap_or(Known::Maybe)
    }

    /// With what an index knows of the lines of `block`.
    pub(super) fn judged(mut self, block: &Block, hits: Option<&Hits>) -> Self {
        if let Some(hits) = hits {
            let known = |line: u32| match (hits.sure.has(line), hits.maybe.has(line)) {
                (true, _) => Known::Yes,
                (_, true) => Known::Maybe,
                _ => Known::No,
            };
            self.known = (block.first..block.first + self.lines.len() as u32).map(known).collect();
        }
        self
    }

    pub(super) fn cut(bytes: Vec<u8>, block: &Block) -> Self {
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
        Self { bytes, lines, seq: block.seq, wall: block.wall, known: Vec::new(), note: block.note }
    }

    /// The first lines, few, that end in the beginning `bytes` of a block, and what is left of it.
    pub(super) fn cut_some(mut bytes: Vec<u8>, block: &Block) -> (Self, Block) {
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
            first: block.first + lines.len() as u32,
            seq: block.seq + lines.len() as u64,
            lines: block.lines.saturating_sub(lines.len() as u64),
            context: Context { continues: cutter.continues(), traceback: tracebacks.inside() },
            ..*block
        };
        bytes.truncate(rest);
        (Self { bytes, lines, seq: block.seq, wall: block.wall, known: Vec::new(), note: block.note }, left)
    }
}
