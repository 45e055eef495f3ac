//! Health from a row of check results: one failure degrades, three in a row are enough.

use serde::{Deserialize, Serialize};

use crate::view::{CheckCounts, Health};

/// Failures in a row after which an instance is restarted.
const UNHEALTHY_AFTER: u32 = 3;

/// Results so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Checks {
    failures_in_a_row: u32,
    /// Whether a check of the current run has ended.
    known: bool,
    /// Whether one was asked for that has not ended: the next one is set when it does.
    asked: bool,
    counts: CheckCounts,
}

impl Checks {
    /// A new run begins; totals stay. `passed` when its start included a good check.
    pub(super) fn begin(&mut self, passed: bool) {
        self.failures_in_a_row = 0;
        self.known = passed;
        self.asked = false;
    }

    /// One is asked for.
    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    /// Whether one was asked for that has not ended.
    pub(super) fn is_asked(&self) -> bool {
        self.asked
    }

    /// The one that was asked for ended, whatever it says.
    pub(super) fn ended(&mut self) {
        self.asked = false;
    }

    /// There are none from now on.
    pub(super) fn give_up(&mut self) {
        self.failures_in_a_row = 0;
        self.known = false;
    }

    /// Books a result; returns whether the instance has to be restarted.
    pub(super) fn book(&mut self, passed: bool) -> bool {
        self.known = true;
        if passed {
            self.counts.passed += 1;
            self.failures_in_a_row = 0;
        } else {
            self.counts.failed += 1;
            self.failures_in_a_row += 1;
        }
        self.failures_in_a_row >= UNHEALTHY_AFTER
    }

    pub(super) fn health(&self) -> Health {
        match self.failures_in_a_row {
            _ if !self.known => Health::Unknown,
            0 => Health::Healthy,
            n if n < UNHEALTHY_AFTER => Health::Degraded,
            _ => Health::Unhealthy,
        }
    }

    /// Totals over all runs.
    #[must_use]
    pub fn counts(&self) -> CheckCounts {
        self.counts
    }
}
