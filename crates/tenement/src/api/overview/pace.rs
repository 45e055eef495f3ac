//! Requests and errors per second over the last seconds, from totals.

use std::{collections::VecDeque, time::Duration};

use tenement_core::time::Millis;

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

/// Totals of the last [`WINDOW`], and the one before. Of an instance that nobody uses there is one.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    notes: VecDeque<(Millis, Totals)>,
    /// What it is until there are two.
    first: PerSecond,
}

impl Pace {
    /// Begins with what was measured elsewhere.
    pub(super) fn beginning(first: PerSecond) -> Self {
        Self { notes: VecDeque::new(), first }
    }

    /// Notes what the totals are now.
    pub(super) fn note(&mut self, now: Millis, totals: Totals) {
        if self.notes.back().is_some_and(|(_, last)| last.requests > totals.requests) {
            // A new instance of this name.
            *self = Self::default();
        }
        self.notes.push_back((now, totals));
        while self.notes.get(1).is_some_and(|&(at, _)| now.since(at) >= WINDOW) {
            self.notes.pop_front();
        }
        let is_quiet = self.notes.front().is_some_and(|&(_, oldest)| oldest == totals);
        if is_quiet && self.notes.len() > 1 {
            self.first = PerSecond::default();
            self.notes.clear();
            self.notes.push_back((now, totals));
        }
    }

    /// With what was noted last.
    pub(super) fn per_second(&self) -> PerSecond {
        let (Some(&(from, had)), Some(&(to, has))) = (self.notes.front(), self.notes.back()) else {
            return self.first;
        };
        let seconds = to.since(from).as_secs_f64();
        if seconds <= 0.0 {
            return self.first;
        }
        let rate = |had: u64, has: u64| has.saturating_sub(had) as f64 / seconds;
        PerSecond { requests: rate(had.requests, has.requests), errors: rate(had.errors, has.errors) }
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
        is(&pace, 100.0, 10.0);
        for second in (4..60).step_by(2) {
            pace.note(Millis(second * 1000), totals(1200));
            assert!(pace.notes.len() <= 6);
        }
        is(&pace, 0.0, 0.0);
        assert_eq!(pace.notes.len(), 1, "nobody uses it");
        pace.note(Millis(60_000), totals(1220));
        is(&pace, 10.0, 1.0);
    }

    #[test]
    fn a_new_instance_of_a_name_begins_anew() {
        let mut pace = Pace::default();
        pace.note(Millis(0), totals(500));
        pace.note(Millis(2000), totals(10));
        is(&pace, 0.0, 0.0);
        pace.note(Millis(4000), totals(30));
        is(&pace, 10.0, 1.0);
    }
}
