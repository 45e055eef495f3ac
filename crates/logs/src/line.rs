//! One line as it is handed out.

use std::borrow::Cow;

use tenement_core::{name::InstanceName, time::WallMillis};

use crate::level::Level;

/// Where an instance wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

impl Stream {
    /// Both, in the order of their descriptors.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// How a piece relates to the line the application wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The whole line.
    Whole,
    /// A piece of a line over 64 KiB; another piece follows.
    Cut,
    /// The last piece of a line over 64 KiB.
    Last,
    /// Its end has not been written yet (or never was: the application died in the middle of it). Its `seq`
    /// and extent may still change.
    Open,
}

impl Part {
    /// The word of the API; `None` for a whole line.
    #[must_use]
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Cut => Some("cut"),
            Self::Last => Some("last"),
            Self::Open => Some("open"),
        }
    }
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When its bytes arrived. May step back when the clock does; `seq` never does.
    pub timestamp: WallMillis,
    /// Who wrote it.
    pub instance: InstanceName,
    /// Where to.
    pub stream: Stream,
    /// Its place among all lines of this instance, from 0, over both streams.
    pub seq: u64,
    /// What it says of itself, or what its stream implies.
    pub level: Level,
    /// The bytes as written, without the line end.
    pub bytes: Vec<u8>,
    /// Whether this is all of it.
    pub part: Part,
    /// The daemon's own words, put where lines of the application were left out. No application can write one.
    pub note: bool,
}

impl LogLine {
    /// The line as text; invalid UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn message(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// About the bytes it takes in JSON.
    pub(crate) fn json_len(&self) -> usize {
        const FIELDS: usize = 256;
        let escaped = self.bytes.iter().map(|byte| match byte {
            b'"' | b'\\' | b'\t' | b'\r' => 2,
            0..0x20 => "\\u0000".len(),
            _ => 1,
        });
        let replaced = self.bytes.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
        FIELDS + escaped.sum::<usize>() + replaced * '\u{fffd}'.len_utf8()
    }
}
