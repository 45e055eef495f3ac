//! What a request that had to wait for an instance is told.

use std::time::Duration;

/// Why a waiting request was not let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WakeRefusal {
    /// The instance is not known (any more): 404.
    Unknown,
    /// It can't be had now: 503 with `Retry-After`.
    Unavailable {
        /// In words for everybody.
        reason: String,
        /// When a new try makes sense.
        retry_after: Duration,
    },
    /// It did not start, or ended: 503 with `Retry-After`.
    Failed {
        /// In words for its operator: who only sent a request is not told.
        reason: String,
        /// When a new try makes sense.
        retry_after: Duration,
        /// Whether that happened while the request waited.
        tried: bool,
    },
}
