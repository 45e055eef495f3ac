//! Whether a line is asked for.

use std::{borrow::Cow, sync::Arc};

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};
use tenement_core::time::WallMillis;

use super::{LogQuery, QueryError, literals};
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

/// The conditions of a query, ready for use.
pub(crate) struct Filter {
    levels: LevelSet,
    grep: Option<Regex>,
    search: Option<Finder<'static>>,
    /// Folded.
    terms: Vec<Finder<'static>>,
    since: WallMillis,
    until: WallMillis,
    plan: Option<Arc<Plan>>,
}

impl Filter {
    pub(crate) fn new(query: &LogQuery) -> Result<Self, QueryError> {
        let compile =
            |pattern| RegexBuilder::new(pattern).size_limit(REGEX_SIZE).dfa_size_limit(REGEX_CACHE).build();
        let terms: Vec<Vec<u8>> = query.terms.iter().map(|term| folded(term.as_bytes())).collect();
        let text = query.search.as_deref().filter(|text| !text.is_empty());
        let grep = query.grep.as_deref().map(compile).transpose()?;
        let mut texts = terms.clone();
        texts.extend(text.map(|text| folded(text.as_bytes())));
        texts.extend(query.grep.as_deref().map(literals::of).unwrap_or_default());
        let plan = Plan::new(query.levels, &texts, text.is_none() && grep.is_none());
        Ok(Self {
            levels: query.levels,
            grep,
            search: text.map(|text| Finder::new(text).into_owned()),
            terms: terms.iter().map(|term| Finder::new(term).into_owned()).collect(),
            since: query.since.unwrap_or_default(),
            until: query.until.unwrap_or(WallMillis(u64::MAX)),
            plan: (!plan.is_empty()).then(|| Arc::new(plan)),
        })
    }

    /// Every line passes.
    pub(super) fn is_open(&self) -> bool {
        self.passes_all() && self.since == WallMillis(0) && self.until == WallMillis(u64::MAX)
    }

    /// Every line of the right time passes.
    fn passes_all(&self) -> bool {
        self.levels == LevelSet::ALL && self.grep.is_none() && self.search.is_none() && self.terms.is_empty()
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
    }

    fn has_terms(&self, bytes: &[u8]) -> bool {
        let bytes = folded(bytes);
        self.terms.iter().all(|term| term.find(&bytes).is_some())
    }

    /// Whether this line of a block that [`Self::may_hold`] it passes. Text is matched as it is shown.
    pub(crate) fn passes(&self, stream: Stream, line: &LineRef<'_>) -> bool {
        self.passes_as(line, || line.level(stream))
    }

    /// The same for a line whose level is perhaps known.
    pub(crate) fn passes_as(&self, line: &LineRef<'_>, level: impl FnOnce() -> Level) -> bool {
        (self.terms.is_empty() || self.has_terms(line.bytes)) && self.passes_but_terms(line, level)
    }

    fn passes_but_terms(&self, line: &LineRef<'_>, level: impl FnOnce() -> Level) -> bool {
        self.search.as_ref().is_none_or(|search| search.find(line.bytes).is_some())
            && self.grep.as_ref().is_none_or(|grep| grep.is_match(shown(line.bytes).as_ref()))
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
