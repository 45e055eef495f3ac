//! The only place where time is read.

#![allow(clippy::disallowed_methods, reason = "this is the edge where time comes in")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tenement_core::time::{Millis, WallMillis};

/// `CLOCK_MONOTONIC` of clock_gettime(2): the next daemon counts from the same moment.
#[must_use]
pub fn now() -> Millis {
    let now = clock_gettime(ClockId::Monotonic);
    Millis(now.tv_sec.unsigned_abs() * 1000 + now.tv_nsec.unsigned_abs() / 1_000_000)
}

/// A point on the monotonic clock with full resolution, for measuring a duration.
#[must_use]
pub fn instant() -> Instant {
    Instant::now()
}

/// `CLOCK_BOOTTIME` in clock ticks, as the kernel tells when a process was started (`proc_pid_stat(5)`).
#[must_use]
pub(crate) fn boot_ticks() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    now.tv_sec.unsigned_abs() * per_second + now.tv_nsec.unsigned_abs() * per_second / 1_000_000_000
}

/// The time of day.
#[must_use]
pub fn wall() -> WallMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
