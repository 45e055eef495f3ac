//! How much is kept, and for how long.

use std::{sync::Arc, time::Duration};

use tenement_runtime::clock;

use crate::{instance::Instance, segment::MAX_LINE};

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

impl Limits {
    /// The size a segment is closed at: so that it holds at least a line, and the overall limit at least some
    /// segments.
    pub(crate) fn segment_size(self) -> u64 {
        self.segment_size.min(self.max_size / 64).clamp(2 * MAX_LINE as u64, 1 << 30)
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

/// Lets go what is too old or too much: first by the limits of each instance, then the oldest of all.
pub(crate) fn expire(instances: &[Arc<Instance>], limits: Limits) {
    let now = clock::wall();
    for instance in instances {
        if let Err(error) = instance.expire(now) {
            tracing::warn!(instance = %instance.name, %error, "old log segments could not be removed");
        }
    }
    while instances.iter().map(|instance| instance.bytes()).sum::<u64>() > limits.max_size {
        let oldest = instances.iter().filter_map(|instance| Some((instance.oldest_closed()?, instance)));
        let Some((_, instance)) = oldest.min_by_key(|&(wall, _)| wall) else { return };
        if let Err(error) = instance.remove_oldest_closed() {
            tracing::warn!(instance = %instance.name, %error, "a log segment could not be removed");
            return;
        }
    }
}
