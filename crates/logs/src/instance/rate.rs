//! Which lines of an instance are kept when it writes more of them than it may.
//!
//! ```text
//!   window of a second:  kept, kept, … limit │ left out, left out, … │ "n lines left out" │ next window
//! ```
//!
//! Only whole lines are left out: one that was begun to be kept is kept to its end, and counts as more than one when it
//! is long. What that is too much counts in the windows that follow.

use memchr::{memchr, memchr_iter};
use tenement_core::time::Millis;
use tenement_runtime::clock;

use crate::{line::Stream, segment::MAX_LINE};

/// Milliseconds that the limit is for.
const WINDOW: u64 = 1000;
/// Milliseconds without anything left out after which it is told anew when something is.
const CALM: u64 = 60_000;

/// How much of its rate an instance has used.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    begun: Millis,
    /// Lines kept in this window.
    used: u64,
    /// By stream.
    gates: [Gate; 2],
}

/// Where a stream is.
#[derive(Clone, Copy, Debug, Default)]
struct Gate {
    at: At,
    /// Bytes of the line that is being kept.
    length: usize,
    left_out: LeftOut,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Begin,
    Kept,
    LeftOut,
}

/// What is missing from a stream and not noted there yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) lines: u64,
    pub(super) bytes: u64,
}

/// What to do with so many of the bytes that are next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Keep(usize),
    LeaveOut(usize),
}

impl Rate {
    /// `within`: by stream, whether a line that is kept has not ended yet.
    pub(super) fn new(now: Millis, within: [bool; 2]) -> Self {
        let gate = |within| Gate { at: if within { At::Kept } else { At::Begin }, ..Gate::default() };
        Self { begun: now, used: 0, gates: within.map(gate) }
    }

    /// Begins another window when this one is over.
    pub(super) fn turn(&mut self, now: Millis, limit: u64) {
        let windows = now.0.saturating_sub(self.begun.0) / WINDOW;
        if windows > 0 {
            self.used = self.used.saturating_sub(limit.saturating_mul(windows));
            self.begun = now;
        }
    }

    /// When something that is left out is to be noted.
    pub(super) fn note_at(&self) -> Option<Millis> {
        let missing = self.gates.iter().any(|gate| gate.left_out.lines > 0);
        missing.then_some(Millis(self.begun.0 + WINDOW))
    }

    /// What is missing from a stream.
    pub(super) fn left_out(&self, stream: Stream) -> Option<LeftOut> {
        Some(self.gates[stream as usize].left_out).filter(|left_out| left_out.lines > 0)
    }

    /// That was noted.
    pub(super) fn noted(&mut self, stream: Stream) {
        self.gates[stream as usize].left_out = LeftOut::default();
    }

    /// Nothing has to be left out or noted.
    pub(super) fn is_calm(&self) -> bool {
        self.gates.iter().all(|gate| gate.at != At::LeftOut && gate.left_out.lines == 0)
    }

    /// Whether all that comes next is left out, whatever it is.
    pub(super) fn is_spent(&self, stream: Stream, limit: u64) -> bool {
        self.gates[stream as usize].at != At::Kept && self.used >= limit
    }

    /// What to do with the beginning of `text`, which is next and not empty.
    pub(super) fn step(&self, stream: Stream, text: &[u8], limit: u64) -> Step {
        if self.is_spent(stream, limit) {
            return Step::LeaveOut(text.len());
        }
        if self.gates[stream as usize].at == At::LeftOut {
            return Step::LeaveOut(memchr(b'\n', text).map_or(text.len(), |end| end + 1));
        }
        Step::Keep(self.clone().keep(stream, text, limit))
    }

    /// Counts bytes that were kept, until there are as many lines as may be. How many bytes that were.
    pub(super) fn keep(&mut self, stream: Stream, text: &[u8], limit: u64) -> usize {
        let Self { used, gates, .. } = self;
        let gate = &mut gates[stream as usize];
        let mut at = 0;
        while at < text.len() && (gate.at == At::Kept || *used < limit) {
            if gate.at == At::Begin {
                (gate.at, gate.length) = (At::Kept, 0);
                *used += 1;
            }
            let end = memchr(b'\n', &text[at..]).map(|end| at + end + 1);
            let next = end.unwrap_or(text.len());
            let length = gate.length + (next - at);
            *used += (length / MAX_LINE - gate.length / MAX_LINE) as u64;
            gate.length = length;
            if end.is_some() {
                gate.at = At::Begin;
            }
            at = next;
        }
        at
    }

    /// Counts bytes that were left out. How many lines were begun with them.
    pub(super) fn leave_out(&mut self, stream: Stream, text: &[u8]) -> u64 {
        let gate = &mut self.gates[stream as usize];
        let Some(last) = text.last() else { return 0 };
        let ends = memchr_iter(b'\n', text).count() as u64;
        let lines = ends + u64::from(*last != b'\n') - u64::from(gate.at == At::LeftOut);
        gate.at = if *last == b'\n' { At::Begin } else { At::LeftOut };
        gate.left_out.lines += lines;
        gate.left_out.bytes += text.len() as u64;
        lines
    }
}

impl LeftOut {
    /// The line that stands in their place.
    pub(super) fn note(self, limit: Option<u32>) -> String {
        let Self { lines, bytes } = self;
        let lines = if lines == 1 { "1 line".to_owned() } else { format!("{lines} lines") };
        let over = limit.map(|limit| format!("over log_rate_limit = {limit}/s"));
        let over = over.unwrap_or_else(|| "over the log_rate_limit there was".to_owned());
        format!("{lines} ({}) left out: {over}", size(bytes))
    }
}

/// As people read it.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// Whether lines being left out are news.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Episode {
    last: Option<Millis>,
}

impl Episode {
    /// Something is left out. Whether that begins a time in which there is.
    pub(super) fn begins(&mut self) -> bool {
        let now = clock::now();
        let last = self.last.replace(now);
        last.is_none_or(|last| now.0.saturating_sub(last.0) > CALM)
    }
}

#[cfg(test)]
mod tests;
