//! How long it takes until somebody who came to a sleeping instance is served, by stage.

use std::time::Duration;

use crate::histogram::{Distribution, Histogram};

/// Upper bounds of the buckets of a wake's stages, in microseconds.
pub const WAKE_BUCKETS_US: [u64; 15] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
];

/// A part of the way from a request to a sleeping instance's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeStage {
    /// Waiting for a place among the starts under way.
    Queue,
    /// From there until its process exists.
    Spawn,
    /// From there until it accepts, and its first check was good.
    Ready,
    /// All of it as the client sees it: from the moment the request waits to the first byte of its answer.
    FirstByte,
}

impl WakeStage {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Queue, Self::Spawn, Self::Ready, Self::FirstByte];

    /// As a metric label: `first_byte`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        ["queue", "spawn", "ready", "first_byte"][self as usize]
    }
}

/// What was counted of a service's wakes.
#[derive(Debug)]
pub struct Wakes([Histogram<{ WAKE_BUCKETS_US.len() + 1 }>; 4]);

impl Default for Wakes {
    fn default() -> Self {
        Self([const { Histogram::new(&WAKE_BUCKETS_US) }; 4])
    }
}

impl Wakes {
    /// Counts one stage of one wake; [`WakeStage::FirstByte`] once for each request that waited.
    pub fn observe(&self, stage: WakeStage, took: Duration) {
        self.0[stage as usize].observe(took);
    }

    /// What was counted of a stage.
    #[must_use]
    pub fn snapshot(&self, stage: WakeStage) -> Distribution<{ WAKE_BUCKETS_US.len() + 1 }> {
        self.0[stage as usize].snapshot()
    }
}
