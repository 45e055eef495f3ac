//! How much is kept, and for how long.

use std::time::Duration;

/// Over all instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of log over all instances; the oldest closed segments go first.
    pub max_size: u64,
    /// A segment is closed when it has this many bytes. Bounds how exactly the other limits are kept.
    pub segment_size: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_size: 1 << 30, segment_size: 8 << 20 }
    }
}

/// Of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// A segment goes when its last line is older than this.
    pub retention: Duration,
    /// Bytes of this instance's log, both streams together; the oldest closed segments go first.
    pub max_size: u64,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self { retention: Duration::from_secs(7 * 24 * 3600), max_size: 1 << 30 }
    }
}
