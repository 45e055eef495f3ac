//! The newest lines of an instance that several follow: read from the disk, cut, judged and written as JSON once for all
//! of them.
//!
//! ```text
//!   disk ── one reader ──► Piece, Piece, Piece ──► every reader that is near the end: a filter, and a copy of a pointer
//!                            └── older ones go: only who lags further behind reads for itself
//! ```

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use tenement_core::{name::InstanceName, time::Millis};

use crate::{
    level::Level,
    line::{LogLine, Stream},
    segment::{LineRef, Text},
};

/// What all instances may keep together, and one of them.
const TOTAL: usize = 8 << 20;
const EACH: usize = 512 << 10;
/// What it takes to know where a line lies, and what the fields of its JSON take without names and text.
const CUT: usize = 32;
const FIELDS: usize = 256;

/// Bytes that are kept in all, about.
static KEPT: AtomicUsize = AtomicUsize::new(0);

fn take(bytes: usize) -> bool {
    let fits = |kept: usize| Some(kept + bytes).filter(|&sum| sum <= TOTAL);
    KEPT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
}

/// Lines of one stream that follow each other.
#[derive(Debug)]
pub(super) struct Piece {
    name: InstanceName,
    pub(super) stream: Stream,
    text: Text,
    facts: Box<[Facts]>,
}

/// What was found out about a line.
#[derive(Debug, Default)]
struct Facts {
    /// 0: not yet.
    level: AtomicU8,
    encoded: OnceLock<Bytes>,
}

impl Piece {
    /// `None` without a line.
    pub(super) fn new(name: &InstanceName, stream: Stream, text: Text) -> Option<Self> {
        let facts = (0..text.len()).map(|_| Facts::default()).collect::<Box<[_]>>();
        (!facts.is_empty()).then(|| Self { name: name.clone(), stream, text, facts })
    }

    pub(super) fn text(&self) -> &Text {
        &self.text
    }

    /// Place of the first line.
    pub(super) fn seq(&self) -> u64 {
        self.text.line(0).seq
    }

    /// Place after the last line.
    pub(super) fn end(&self) -> u64 {
        self.seq() + self.facts.len() as u64
    }

    /// What it may take in memory, with the JSON of all its lines.
    fn cost(&self) -> usize {
        self.text.bytes().len()
            + self.facts.len() * (size_of::<Facts>() + CUT)
            + self.room(self.text.bytes().len())
            + (self.facts.len() - 1) * self.room(0)
    }

    /// What the JSON of a line with so many bytes may take.
    pub(super) fn room(&self, bytes: usize) -> usize {
        2 * bytes + FIELDS + 2 * (self.name.service.as_str().len() + self.name.id.as_str().len())
    }

    /// The level of the line at `index`.
    pub(super) fn level(&self, index: usize, line: &LineRef<'_>) -> Level {
        let known = &self.facts[index].level;
        if let Some(level) = usize::from(known.load(Ordering::Relaxed)).checked_sub(1) {
            return Level::ALL[level];
        }
        let level = line.level(self.stream);
        known.store(level as u8 + 1, Ordering::Relaxed);
        level
    }

    fn line(&self, index: usize) -> LogLine {
        let line = self.text.line(index);
        let level = self.level(index, &line);
        line.with_level(&self.name, self.stream, self.text.wall, level)
    }
}

/// A line that is perhaps handed out to others too.
#[derive(Clone, Debug)]
pub struct SharedLine(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Own(Box<LogLine>),
    Of(Arc<Piece>, usize),
}

impl SharedLine {
    pub(super) fn own(line: LogLine) -> Self {
        Self(Inner::Own(Box::new(line)))
    }

    pub(super) fn of(piece: &Arc<Piece>, index: usize) -> Self {
        Self(Inner::Of(Arc::clone(piece), index))
    }

    /// The line.
    #[must_use]
    pub fn into_line(self) -> LogLine {
        match self.0 {
            Inner::Own(line) => *line,
            Inner::Of(piece, index) => piece.line(index),
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn instance(&self) -> &InstanceName {
        match &self.0 {
            Inner::Own(line) => &line.instance,
            Inner::Of(piece, _) => &piece.name,
        }
    }

    /// Its place among the lines of its instance, and when it arrived.
    #[must_use]
    pub fn place(&self) -> (u64, tenement_core::time::WallMillis) {
        match &self.0 {
            Inner::Own(line) => (line.seq, line.timestamp),
            Inner::Of(piece, index) => (piece.text.line(*index).seq, piece.text.wall),
        }
    }

    /// The line as `encode` writes it: always the same function, whoever asks.
    pub fn encoded(&self, encode: impl Fn(&LogLine) -> String) -> Bytes {
        match &self.0 {
            Inner::Own(line) => encode(line).into(),
            Inner::Of(piece, index) => {
                let known = &piece.facts[*index].encoded;
                if let Some(known) = known.get() {
                    return known.clone();
                }
                let line = piece.line(*index);
                let text = Bytes::from(encode(&line));
                // No more than was taken from the budget for it.
                if text.len() <= piece.room(line.bytes.len()) {
                    let _ = known.set(text.clone());
                }
                text
            }
        }
    }
}

/// The newest pieces of an instance, without a gap.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    pieces: VecDeque<Arc<Piece>>,
    bytes: usize,
    /// When somebody last looked for more.
    pub(super) filled: Millis,
}

impl Recent {
    /// The places of its first line and after its last one; `None` when it has none.
    pub(super) fn span(&self) -> Option<(u64, u64)> {
        Some((self.pieces.front()?.seq(), self.pieces.back()?.end()))
    }

    /// The pieces with lines from `place` on; `None` when it does not know them all.
    pub(super) fn from(&self, place: u64) -> Option<Vec<Arc<Piece>>> {
        let (first, end) = self.span()?;
        if !(first..end).contains(&place) {
            return None;
        }
        let at = self.pieces.partition_point(|piece| piece.end() <= place);
        Some(self.pieces.range(at..).cloned().collect())
    }

    /// Keeps a piece that follows, and lets go what is too much for it. Without room nothing is kept.
    pub(super) fn push(&mut self, piece: Arc<Piece>) {
        let cost = piece.cost();
        while self.bytes + cost > EACH && self.drop_oldest() {}
        while !take(cost) {
            if !self.drop_oldest() {
                return;
            }
        }
        self.bytes += cost;
        self.pieces.push_back(piece);
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.pieces.pop_front() else { return false };
        self.bytes -= oldest.cost();
        KEPT.fetch_sub(oldest.cost(), Ordering::Relaxed);
        true
    }

    /// Keeps nothing.
    pub(crate) fn clear(&mut self) {
        while self.drop_oldest() {}
        self.pieces = VecDeque::new();
    }
}

impl Drop for Recent {
    fn drop(&mut self) {
        self.clear();
    }
}
