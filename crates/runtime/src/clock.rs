//! The only place where time is read.

#![allow(clippy::disallowed_methods, reason = "this is the edge where time comes in")]

use std::{
    sync::OnceLock,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use tenement_core::time::{Millis, WallMillis};

static START: OnceLock<Instant> = OnceLock::new();

/// Monotonic time since the first call in this process.
#[must_use]
pub fn now() -> Millis {
    Millis(u64::try_from(START.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// A point on the monotonic clock with full resolution, for measuring a duration.
#[must_use]
pub fn instant() -> Instant {
    Instant::now()
}

/// The time of day.
#[must_use]
pub fn wall() -> WallMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
