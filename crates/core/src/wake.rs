//! What a request that had to wait for an instance is told.

use std::time::Duration;

/// Why a waiting request was not let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WakeRefusal {
    /// The instance is not known (any more): 404.
    Unknown,
    /// It can't be had now: 503 with `Retry-After`.
    Unavailable {
        /// In words for people; names no path and no secret.
        reason: String,
        /// When a new try makes sense.
        retry_after: Duration,
    },
    /// It was started for this request, and did not come up or not stay up: 503 with `Retry-After`.
    Failed {
        /// In words for people; names no path and no secret.
        reason: String,
        /// When a new try makes sense.
        retry_after: Duration,
    },
}
