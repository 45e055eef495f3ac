//! How often something was met that can't be read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static MET: AtomicU64 = AtomicU64::new(0);

/// How often a part of a log could not be read because it is damaged, since the process started. Whoever asks meets
/// the same damage again.
#[must_use]
pub fn damage_met() -> u64 {
    MET.load(Relaxed)
}

/// Parts that one reader met.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Damage(u64);

impl Damage {
    pub(super) fn meet(&mut self) {
        self.0 += 1;
        MET.fetch_add(1, Relaxed);
    }

    pub(super) fn count(self) -> u64 {
        self.0
    }
}
