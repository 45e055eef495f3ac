//! Whether a line is asked for.

use std::borrow::Cow;

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};
use tenement_core::time::WallMillis;

use super::{LogQuery, QueryError};
use crate::{
    level::{Level, LevelSet},
    line::Stream,
    segment::{Block, LineRef, Text},
};

/// Bytes a compiled regular expression may take, and what it remembers while it is used.
const REGEX_SIZE: usize = 1 << 20;
const REGEX_CACHE: usize = 256 << 10;

/// The conditions of a query, ready for use.
pub(crate) struct Filter {
    levels: LevelSet,
    grep: Option<Regex>,
    search: Option<memmem::Finder<'static>>,
    terms: Vec<Regex>,
    since: WallMillis,
    until: WallMillis,
}

impl Filter {
    pub(crate) fn new(query: &LogQuery) -> Result<Self, QueryError> {
        let compile =
            |pattern| RegexBuilder::new(pattern).size_limit(REGEX_SIZE).dfa_size_limit(REGEX_CACHE).build();
        let term = |text: &String| {
            RegexBuilder::new(&regex::escape(text)).case_insensitive(true).size_limit(REGEX_SIZE).build()
        };
        let text = query.search.as_deref().filter(|text| !text.is_empty());
        Ok(Self {
            levels: query.levels,
            grep: query.grep.as_deref().map(compile).transpose()?,
            search: text.map(|text| memmem::Finder::new(text).into_owned()),
            terms: query.terms.iter().map(term).collect::<Result<_, _>>()?,
            since: query.since.unwrap_or_default(),
            until: query.until.unwrap_or(WallMillis(u64::MAX)),
        })
    }

    /// Every line passes.
    pub(super) fn is_open(&self) -> bool {
        self.levels == LevelSet::ALL
            && self.grep.is_none()
            && self.search.is_none()
            && self.terms.is_empty()
            && self.since == WallMillis(0)
            && self.until == WallMillis(u64::MAX)
    }

    /// Whether lines of this block can pass, as far as its mark tells.
    pub(crate) fn may_hold(&self, block: &Block) -> bool {
        self.spans(block.wall)
    }

    /// Whether lines of this time can pass.
    pub(crate) fn spans(&self, wall: WallMillis) -> bool {
        (self.since..=self.until).contains(&wall)
    }

    /// Whether any line of this text can pass.
    pub(crate) fn may_match(&self, text: &Text) -> bool {
        self.search.as_ref().is_none_or(|search| search.find(text.bytes()).is_some())
            && self.terms.iter().all(|term| term.is_match(text.bytes()))
    }

    /// Whether this line of a block that [`Self::may_hold`] it passes. Text is matched as it is shown.
    pub(crate) fn passes(&self, stream: Stream, line: &LineRef<'_>) -> bool {
        self.passes_as(line, || line.level(stream))
    }

    /// The same for a line whose level is perhaps known.
    pub(crate) fn passes_as(&self, line: &LineRef<'_>, level: impl FnOnce() -> Level) -> bool {
        self.search.as_ref().is_none_or(|search| search.find(line.bytes).is_some())
            && self.terms.iter().all(|term| term.is_match(line.bytes))
            && self.grep.as_ref().is_none_or(|grep| grep.is_match(shown(line.bytes).as_ref()))
            && (self.levels == LevelSet::ALL || self.levels.contains(level()))
    }
}

fn shown(bytes: &[u8]) -> Cow<'_, [u8]> {
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}
