//! When a segment is closed though it is not full: what is closed can be packed and let go.

use std::time::Duration;

use tenement_core::time::{Millis, WallMillis};

use super::Chain;

/// A segment with so many bytes is closed when its first line is so old.
const OLD_MIN: u64 = 64 << 10;
const OLD: Duration = Duration::from_secs(3600);
/// A segment with so many bytes, or half of what it may have, is closed when nothing came for so long.
const QUIET_MIN: u64 = 1 << 20;
const QUIET: Duration = Duration::from_secs(2);

impl Chain {
    /// When its last segment is large enough to be closed once nothing comes any more: then.
    pub(crate) fn quiet_at(&self, segment_size: u64) -> Option<Millis> {
        (self.closable() >= QUIET_MIN.min(segment_size / 2)).then(|| self.used.after(QUIET))
    }

    /// Whether its last segment is to be closed for its age.
    pub(crate) fn is_old(&self, now: WallMillis) -> bool {
        let begun = self.segments.back().map_or(now, |last| last.begun);
        self.closable() >= OLD_MIN && now.0.saturating_sub(begun.0) >= OLD.as_millis() as u64
    }

    /// Bytes of whole lines in the last segment.
    fn closable(&self) -> u64 {
        self.segments.back().map_or(0, |last| u64::from(last.last.done))
    }
}
