//! Whether a line is asked for.

use std::{
    borrow::Cow,
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};
use tenement_core::time::WallMillis;
use tenement_runtime::clock;

use super::{Field, LogQuery, QueryError};
use crate::{
    level::LevelSet,
    line::Stream,
    segment::{Block, LineRef, Text},
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
    search: Option<memmem::Finder<'static>>,
    terms: Vec<Regex>,
    since: WallMillis,
    until: WallMillis,
    deadline: Deadline,
}

impl Filter {
    pub(crate) fn new(query: &LogQuery) -> Result<Self, QueryError> {
        let term = |text: &String| {
            RegexBuilder::new(&regex::escape(text)).case_insensitive(true).size_limit(REGEX_SIZE).build()
        };
        let text = query.search.as_deref().filter(|text| !text.is_empty());
        Ok(Self {
            levels: query.levels,
            stream: query.stream,
            fields: query.fields.clone(),
            grep: query.grep.as_deref().map(compile).transpose()?,
            search: text.map(|text| memmem::Finder::new(text).into_owned()),
            terms: query.terms.iter().map(term).collect::<Result<_, _>>()?,
            since: query.since.unwrap_or_default(),
            until: query.until.unwrap_or(WallMillis(u64::MAX)),
            deadline: Deadline::new(query.deadline),
        })
    }

    /// Every line passes.
    pub(super) fn is_open(&self) -> bool {
        self.levels == LevelSet::ALL
            && self.stream.is_none()
            && self.fields.is_empty()
            && self.grep.is_none()
            && self.search.is_none()
            && self.terms.is_empty()
            && self.since == WallMillis(0)
            && self.until == WallMillis(u64::MAX)
    }

    /// Fails once it takes too long. Cheap enough for every block.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.deadline.is_over() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    /// Whether lines of this stream can pass.
    pub(crate) fn wants(&self, stream: Stream) -> bool {
        self.stream.is_none_or(|wanted| wanted == stream)
    }

    /// Whether lines of this block can pass, as far as its mark tells.
    pub(crate) fn may_hold(&self, block: &Block) -> bool {
        (self.since..=self.until).contains(&block.wall)
    }

    /// Whether any line of this text can pass.
    pub(crate) fn may_match(&self, text: &Text) -> bool {
        self.search.as_ref().is_none_or(|search| search.find(text.bytes()).is_some())
            && self.terms.iter().all(|term| term.is_match(text.bytes()))
            && self.fields.iter().all(|field| field.may_match(text.bytes()))
    }

    /// Whether this line of a block that [`Self::may_hold`] it passes. Text is matched as it is shown. Once it takes
    /// too long none does, which [`Self::check`] tells.
    pub(crate) fn passes(&self, stream: Stream, line: &LineRef<'_>) -> bool {
        self.wants(stream)
            && self.search.as_ref().is_none_or(|search| search.find(line.bytes).is_some())
            && self.terms.iter().all(|term| term.is_match(line.bytes))
            && self.grep.as_ref().is_none_or(|grep| {
                self.deadline.allows(line.bytes) && grep.is_match(shown(line.bytes).as_ref())
            })
            && self.fields.iter().all(|field| {
                (!field.is_regex() || self.deadline.allows(line.bytes)) && field.matches(line.bytes)
            })
            && (self.levels == LevelSet::ALL || self.levels.contains(line.level(stream)))
    }
}

/// Until when there has to be an answer.
struct Deadline {
    at: Option<Instant>,
    /// Bytes for regular expressions since it was looked at the clock: some are so slow that a block takes seconds.
    unwatched: AtomicU64,
}

impl Deadline {
    /// Bytes for regular expressions between two looks at the clock.
    const WATCH: u64 = 16 << 10;

    fn new(at: Option<Instant>) -> Self {
        Self { at, unwatched: AtomicU64::new(0) }
    }

    fn is_over(&self) -> bool {
        self.at.is_some_and(|at| clock::instant() >= at)
    }

    /// Whether there is time to match `bytes`.
    fn allows(&self, bytes: &[u8]) -> bool {
        if self.at.is_none() {
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

fn shown(bytes: &[u8]) -> Cow<'_, [u8]> {
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}
