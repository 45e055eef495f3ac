//! Points in time as plain numbers, so that pure code can take them as arguments.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds on the host's monotonic clock: the same for every process, void after a reboot. Never goes back, never
/// jumps.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// The point `by` later; saturates.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Wall-clock time in milliseconds since the Unix epoch. For people and expiry dates, never for timers.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallMillis(pub u64);

/// A duration for people: in seconds, to the millisecond.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    let millis = duration.as_micros().saturating_add(500) / 1000;
    format!("{} s", millis as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_without_their_noise() {
        let shown = |nanos| seconds(Duration::from_nanos(nanos));
        assert_eq!([shown(999_999_979), shown(50_000_001)], ["1 s", "0.05 s"]);
        assert_eq!([shown(1_500_000_000), shown(0), shown(90_000_000_000)], ["1.5 s", "0 s", "90 s"]);
    }
}
