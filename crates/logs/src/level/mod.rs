//! How bad a line is.

mod detect;
mod word;

pub use detect::may_hold_traceback;
pub use detect::{Tracebacks, level_of};

/// How bad a line is; ordered from harmless to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For the application's developers; `trace` too.
    Debug,
    /// Normal operation.
    Info,
    /// Somebody should look at it some day.
    Warn,
    /// Something failed; `fatal` and `critical` too.
    Error,
}

impl Level {
    /// Every level, harmless first.
    pub const ALL: [Self; 4] = [Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The level a word means, in any case, with the synonyms loggers use folded.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::from_bytes(word.as_bytes())
    }

    pub(crate) fn from_bytes(word: &[u8]) -> Option<Self> {
        const WORDS: [(&[u8], Level); 18] = [
            (b"trace", Level::Debug),
            (b"debug", Level::Debug),
            (b"verbose", Level::Debug),
            (b"trc", Level::Debug),
            (b"dbg", Level::Debug),
            (b"info", Level::Info),
            (b"inf", Level::Info),
            (b"information", Level::Info),
            (b"notice", Level::Info),
            (b"warn", Level::Warn),
            (b"warning", Level::Warn),
            (b"wrn", Level::Warn),
            (b"error", Level::Error),
            (b"err", Level::Error),
            (b"fatal", Level::Error),
            (b"critical", Level::Error),
            (b"crit", Level::Error),
            (b"panic", Level::Error),
        ];
        const RARE: [&[u8]; 4] = [b"emerg", b"emergency", b"alert", b"severe"];
        let is = |known: &[u8]| known.eq_ignore_ascii_case(word);
        match WORDS.iter().find(|(known, _)| is(known)) {
            Some(&(_, level)) => Some(level),
            None => RARE.iter().any(|known| is(known)).then_some(Self::Error),
        }
    }
}

/// A set of levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelSet(u8);

impl LevelSet {
    /// Every level.
    pub const ALL: Self = Self(0b1111);

    /// `level` and everything worse.
    #[must_use]
    pub fn at_least(level: Level) -> Self {
        Level::ALL.into_iter().filter(|&other| other >= level).collect()
    }

    /// Whether `level` is in it.
    #[must_use]
    pub fn contains(self, level: Level) -> bool {
        self.0 & (1 << level as u8) != 0
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl FromIterator<Level> for LevelSet {
    fn from_iter<I: IntoIterator<Item = Level>>(levels: I) -> Self {
        Self(levels.into_iter().fold(0, |set, level| set | 1 << level as u8))
    }
}

#[cfg(test)]
mod tests;
