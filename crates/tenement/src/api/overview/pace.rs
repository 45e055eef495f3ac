//! Requests and errors per second over the last seconds, from totals.

use std::time::Duration;

use tenement_core::time::Millis;

use crate::api::notes::Notes;

/// Over how long.
const WINDOW: Duration = Duration::from_secs(10);

/// What was counted of an instance since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) requests: u64,
    /// Answers of 500 and above.
    pub(super) errors: u64,
}

/// Per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct PerSecond {
    pub(super) requests: f64,
    pub(super) errors: f64,
}

/// How totals went over the last [`WINDOW`].
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    notes: Notes<2>,
    /// What it was before the first note; `None`: the instance was made then.
    first: Option<PerSecond>,
}

impl Pace {
    /// Begins with what was measured elsewhere.
    pub(super) fn beginning(first: PerSecond) -> Self {
        Self { notes: Notes::default(), first: Some(first) }
    }

    /// Notes what the totals are now.
    pub(super) fn note(&mut self, now: Millis, totals: Totals) {
        if self.notes.add(now, [totals.requests, totals.errors], WINDOW) {
            // A new instance of this name.
            self.first = None;
        }
    }

    /// As of what was noted last, over the [`WINDOW`] before that.
    pub(super) fn per_second(&self) -> PerSecond {
        let Some([oldest, (now, totals)]) = self.notes.ends() else { return self.first.unwrap_or_default() };
        let before = self.notes.before(now, totals, WINDOW).unwrap_or_else(|| self.guessed(oldest, now));
        let rate = |has: u64, had: f64| (has as f64 - had).max(0.0) / WINDOW.as_secs_f64();
        PerSecond { requests: rate(totals[0], before[0]), errors: rate(totals[1], before[1]) }
    }

    /// What the totals were a [`WINDOW`] ago, before the `oldest` note: at the pace that was measured until then. Whoever was
    /// not there yet had none.
    fn guessed(&self, (at, totals): (Millis, [u64; 2]), now: Millis) -> [f64; 2] {
        let Some(first) = self.first else { return [0.0; 2] };
        let seconds = WINDOW.saturating_sub(now.since(at)).as_secs_f64();
        [totals[0] as f64 - first.requests * seconds, totals[1] as f64 - first.errors * seconds]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(requests: u64) -> Totals {
        Totals { requests, errors: requests / 10 }
    }

    #[track_caller]
    fn is(pace: &Pace, requests: f64, errors: f64) {
        let found = pace.per_second();
        assert!(
            (found.requests - requests).abs() < 1e-9 && (found.errors - errors).abs() < 1e-9,
            "{found:?}"
        );
    }

    #[test]
    fn a_pace_is_that_of_the_last_ten_seconds() {
        let mut pace = Pace::beginning(PerSecond { requests: 7.0, errors: 1.0 });
        is(&pace, 7.0, 1.0);
        pace.note(Millis(0), totals(1000));
        is(&pace, 7.0, 1.0);
        pace.note(Millis(2000), totals(1200));
        is(&pace, 20.0 + 7.0 * 0.8, 2.0 + 0.8);
        for second in (4..60).step_by(2) {
            pace.note(Millis(second * 1000), totals(1200));
            assert!(pace.notes.len() <= 6);
        }
        is(&pace, 0.0, 0.0);
        assert_eq!(pace.notes.len(), 2, "nobody uses it");
        pace.note(Millis(60_000), totals(1220));
        is(&pace, 2.0, 0.2);
    }

    #[test]
    fn one_request_after_a_quiet_time_is_a_tenth_per_second_for_ten_seconds() {
        let mut pace = Pace::beginning(PerSecond::default());
        for second in (0..=30).step_by(2) {
            pace.note(Millis(second * 1000), totals(10));
        }
        for second in (32..=40).step_by(2) {
            pace.note(Millis(second * 1000), totals(11));
            is(&pace, 0.1, 0.0);
        }
        pace.note(Millis(42_000), totals(11));
        is(&pace, 0.0, 0.0);
        // Looks that come late say the same.
        pace.note(Millis(49_000), totals(11));
        pace.note(Millis(53_000), totals(12));
        is(&pace, 0.1, 0.0);
    }

    #[test]
    fn a_steady_pace_is_shown_as_it_is_however_looks_fall() {
        let mut pace = Pace::beginning(PerSecond { requests: 100.0, errors: 10.0 });
        for now in [0, 2000, 4100, 6000, 9500, 11_000, 14_200, 17_000] {
            pace.note(Millis(now), totals(10_000 + now / 10));
            is(&pace, 100.0, 10.0);
        }
    }

    #[test]
    fn a_new_instance_of_a_name_begins_anew() {
        let mut pace = Pace::beginning(PerSecond { requests: 50.0, errors: 0.0 });
        pace.note(Millis(0), totals(500));
        pace.note(Millis(2000), totals(10));
        is(&pace, 1.0, 0.1);
        pace.note(Millis(4000), totals(30));
        is(&pace, 3.0, 0.3);
    }
}
