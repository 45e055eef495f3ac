//! Whether a line is asked for.

use std::{
    borrow::Cow,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};
use tenement_core::time::WallMillis;
use tenement_runtime::clock;

use super::{Field, LogQuery, QueryError, literals};
use crate::{
    fold::fold,
    index::Plan,
    level::{Level, LevelSet},
    line::Stream,
    segment::{Block, Known, LineRef, Text},
};

/// Bytes a compiled regular expression may take, and what it remembers while it is used.
const REGEX_SIZE: usize = 1 << 20;
const REGEX_CACHE: usize = 256 << 10;

pub(super) fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(REGEX_SIZE).dfa_size_limit(REGEX_CACHE).build()
}

/// The conditions of a query, ready for use.
pub(crate) struct Filter {
    levels: LevelSet,
    stream: Option<Stream>,
    fields: Vec<Field>,
    grep: Option<Regex>,
    search: Option<Finder<'static>>,
    /// Folded.
    terms: Vec<Finder<'static>>,
    since: WallMillis,
    until: WallMillis,
    plan: Option<Arc<Plan>>,
    deadline: Deadline,
}

impl Filter {
    pub(crate) fn new(query: &LogQuery) -> Result<Self, QueryError> {
        let terms: Vec<Vec<u8>> = query.terms.iter().map(|term| folded(term.as_bytes())).collect();
        let text = query.search.as_deref().filter(|text| !text.is_empty());
        let grep = query.grep.as_deref().map(compile).transpose()?;
        let mut texts = terms.clone();
        texts.extend(text.map(|text| folded(text.as_bytes())));
        texts.extend(query.grep.as_deref().map(literals::of).unwrap_or_default());
        let in_json = query.fields.iter().flat_map(Field::texts).map(|text| folded(&text));
        let in_json: Vec<Vec<u8>> = in_json.collect();
        let complete = text.is_none() && grep.is_none() && query.fields.is_empty();
        let plan = Plan::new(query.levels, &texts, &in_json, complete);
        Ok(Self {
            levels: query.levels,
            stream: query.stream,
            fields: query.fields.clone(),
            grep,
            search: text.map(|text| Finder::new(text).into_owned()),
            terms: terms.iter().map(|term| Finder::new(term).into_owned()).collect(),
            since: query.since.unwrap_or_default(),
            until: query.until.unwrap_or(WallMillis(u64::MAX)),
            plan: (!plan.is_empty()).then(|| Arc::new(plan)),
            deadline: Deadline::new(query),
        })
    }

    /// Every line passes.
    pub(super) fn is_open(&self) -> bool {
        self.stream.is_none()
            && self.passes_all()
            && self.since == WallMillis(0)
            && self.until == WallMillis(u64::MAX)
    }

    /// Every line of the right time and stream passes.
    fn passes_all(&self) -> bool {
        self.levels == LevelSet::ALL
            && self.fields.is_empty()
            && self.grep.is_none()
            && self.search.is_none()
            && self.terms.is_empty()
    }

    /// Fails once it takes too long. Cheap enough for every block.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.deadline.is_over() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    /// Whether lines of this stream can pass.
    pub(crate) fn wants(&self, stream: Stream) -> bool {
        self.stream.is_none_or(|wanted| wanted == stream)
    }

    /// What can be asked of an index.
    pub(crate) fn plan(&self) -> Option<Arc<Plan>> {
        self.plan.clone()
    }

    /// Whether lines of this time can pass.
    pub(crate) fn in_time(&self, wall: WallMillis) -> bool {
        (self.since..=self.until).contains(&wall)
    }

    /// Whether lines of this block can pass, as far as its mark tells.
    pub(crate) fn may_hold(&self, block: &Block) -> bool {
        self.in_time(block.wall)
    }

    /// Whether any line of this text can pass.
    pub(crate) fn may_match(&self, text: &Text) -> bool {
        self.search.as_ref().is_none_or(|search| search.find(text.bytes()).is_some())
            && (self.terms.is_empty() || self.has_terms(text.bytes()))
            && self.may_have_fields(text)
    }

    fn may_have_fields(&self, text: &Text) -> bool {
        self.fields.iter().all(|field| field.may_match(text.bytes()))
    }

    fn has_terms(&self, bytes: &[u8]) -> bool {
        let bytes = folded(bytes);
        self.terms.iter().all(|term| term.find(&bytes).is_some())
    }

    /// Whether this line of a block that [`Self::may_hold`] it, of a stream that it [`Self::wants`], passes. Text is
    /// matched as it is shown. Once it takes too long none does, which [`Self::check`] tells.
    pub(crate) fn passes(&self, stream: Stream, line: &LineRef<'_>) -> bool {
        self.passes_as(line, || line.level(stream))
    }

    /// The same for a line whose level is perhaps known.
    pub(crate) fn passes_as(&self, line: &LineRef<'_>, level: impl FnOnce() -> Level) -> bool {
        (self.terms.is_empty() || self.has_terms(line.bytes)) && self.passes_but_terms(line, level)
    }

    fn passes_but_terms(&self, line: &LineRef<'_>, level: impl FnOnce() -> Level) -> bool {
        self.search.as_ref().is_none_or(|search| search.find(line.bytes).is_some())
            && self.grep.as_ref().is_none_or(|grep| {
                self.deadline.allows(line.bytes) && grep.is_match(shown(line.bytes).as_ref())
            })
            && self.fields.iter().all(|field| {
                (!field.is_regex() || self.deadline.allows(line.bytes)) && field.matches(line.bytes)
            })
            && (self.levels == LevelSet::ALL || self.levels.contains(level()))
    }

    /// The lines of a text of a block that [`Self::may_hold`] it which pass, by their index, in their order.
    pub(crate) fn select(&self, stream: Stream, text: &Text) -> Vec<u32> {
        if text.is_judged() {
            let passes = |index: &u32| match text.known(*index as usize) {
                Known::Yes => true,
                Known::No => false,
                Known::Maybe => self.passes(stream, &text.line(*index as usize)),
            };
            return (0..text.len() as u32).filter(passes).collect();
        }
        if self.passes_all() {
            return (0..text.len() as u32).collect();
        }
        if !self.may_have_fields(text) {
            return Vec::new();
        }
        let Some((first, rest)) = self.terms.split_first() else {
            return self.with(self.search.as_ref(), text, text.bytes(), |index, _| {
                let line = text.line(index);
                self.passes_but_terms(&line, || line.level(stream))
            });
        };
        let folded = folded(text.bytes());
        self.with(Some(first), text, &folded, |index, line| {
            rest.iter().all(|term| term.find(line).is_some())
                && self.passes_but_terms(&text.line(index), || text.line(index).level(stream))
        })
    }

    /// The lines that hold a needle, in `bytes` that are as long as those of the text, and pass a test. Where there
    /// is none of it nothing is looked at a second time.
    fn with(
        &self,
        needle: Option<&Finder<'_>>,
        text: &Text,
        bytes: &[u8],
        passes: impl Fn(usize, &[u8]) -> bool,
    ) -> Vec<u32> {
        let Some(needle) = needle else {
            let all = 0..text.len();
            return all.filter(|&index| passes(index, b"")).map(|index| index as u32).collect();
        };
        let mut selected = Vec::new();
        let (mut from, mut line) = (0, 0);
        while let Some(at) = bytes.get(from..).and_then(|rest| needle.find(rest)) {
            let at = from + at;
            let Some((index, range)) = text.line_at(at, line) else { break };
            // A line end is part of no line.
            if at + needle.needle().len() > range.end {
                from = at + 1;
                continue;
            }
            if passes(index, &bytes[range.clone()]) {
                selected.push(index as u32);
            }
            (from, line) = (range.end, index);
        }
        selected
    }
}

/// Until when there has to be an answer.
struct Deadline {
    at: Option<Instant>,
    abandoned: Option<Arc<AtomicBool>>,
    /// Bytes for regular expressions since it was looked at the clock: some are so slow that a block takes seconds.
    unwatched: AtomicU64,
}

impl Deadline {
    /// Bytes for regular expressions between two looks at the clock.
    const WATCH: u64 = 16 << 10;

    fn new(query: &LogQuery) -> Self {
        Self { at: query.deadline, abandoned: query.abandoned.clone(), unwatched: AtomicU64::new(0) }
    }

    fn is_over(&self) -> bool {
        self.at.is_some_and(|at| clock::instant() >= at)
            || self.abandoned.as_ref().is_some_and(|abandoned| abandoned.load(Relaxed))
    }

    /// Whether there is time to match `bytes`.
    fn allows(&self, bytes: &[u8]) -> bool {
        if self.at.is_none() && self.abandoned.is_none() {
            return true;
        }
        let unwatched = self.unwatched.load(Relaxed) + bytes.len() as u64;
        let look = unwatched >= Self::WATCH;
        // Once it is over, each one looks and sees it.
        let over = look && self.is_over();
        self.unwatched.store(if look && !over { 0 } else { unwatched }, Relaxed);
        !over
    }
}

fn folded(bytes: &[u8]) -> Vec<u8> {
    let mut folded = bytes.to_vec();
    fold(&mut folded);
    folded
}

fn shown(bytes: &[u8]) -> Cow<'_, [u8]> {
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}
