//! What a follower hands out.

use tenement_core::{name::InstanceName, time::WallMillis};
use tenement_runtime::clock;

use super::recent::SharedLine;
use crate::{instance::Instance, line::LogLine};

/// The most lines of a [`Batch`].
const BATCH_LINES: usize = 256;
/// The most bytes of a [`Batch`], about, as JSON.
const BATCH_BYTES: usize = 64 * 1024;
/// The most bytes that are looked at for one.
const BATCH_READ: u64 = 8 << 20;

/// What a follower hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed<L = LogLine> {
    /// A line that was asked for.
    Line(L),
    /// Lines that were passed over.
    Dropped {
        /// Whose.
        instance: InstanceName,
        /// How many, those that were not asked for included: nobody has read them.
        lines: u64,
        /// When that was seen.
        timestamp: WallMillis,
    },
}

/// Some lines, in the order of each instance.
#[derive(Debug)]
pub struct Batch<L = LogLine> {
    /// Those lines.
    pub entries: Vec<Followed<L>>,
    /// There are more, for which no bell will ring.
    pub more: bool,
    bytes: usize,
    read: u64,
}

impl<L> Default for Batch<L> {
    fn default() -> Self {
        Self { entries: Vec::new(), more: false, bytes: 0, read: 0 }
    }
}

impl Batch<SharedLine> {
    pub(super) fn push(&mut self, line: LogLine) {
        self.bytes += line.json_len();
        self.entries.push(Followed::Line(SharedLine::own(line)));
    }

    /// A line that others may get too, of about so many bytes.
    pub(super) fn push_shared(&mut self, line: SharedLine, bytes: usize) {
        self.bytes += bytes;
        self.entries.push(Followed::Line(line));
    }

    /// So many bytes were looked at.
    pub(super) fn looked_at(&mut self, bytes: usize) {
        self.read += bytes as u64;
    }

    /// Whether it has what fits, so that more may be read at once.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= BATCH_LINES || self.bytes >= BATCH_BYTES || self.read >= BATCH_READ
    }

    pub(super) fn dropped(&mut self, instance: &Instance, lines: u64) {
        if lines > 0 {
            instance.pass_over(lines);
            let (instance, timestamp) = (instance.name.clone(), clock::wall());
            self.entries.push(Followed::Dropped { instance, lines, timestamp });
        }
    }

    /// With lines of its own.
    pub(super) fn into_own(self) -> Batch {
        let own = |entry: Followed<SharedLine>| match entry {
            Followed::Line(line) => Followed::Line(line.into_line()),
            Followed::Dropped { instance, lines, timestamp } => {
                Followed::Dropped { instance, lines, timestamp }
            }
        };
        let Self { entries, more, bytes, read } = self;
        Batch { entries: entries.into_iter().map(own).collect(), more, bytes, read }
    }
}
