//! How much is kept, and for how long.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tenement_core::name::{InstanceName, ServiceName};
use tenement_runtime::clock;

use crate::{instance::Instance, segment::MARK_LEN};

/// No segment is closed for its size before it has so many bytes.
pub(crate) const SEGMENT_MIN: u64 = 4 << 10;

/// What is kept. Sizes are those of files, what describes the lines included.
///
/// They are exceeded by no more than what comes in one go (256 KiB, or an eighth of the limit where that is
/// less) and by lines that have not ended (64 KiB per stream).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes over all instances. The one that has the most lets its oldest lines go first, so that nobody can
    /// make others lose theirs.
    pub max_size: u64,
    /// The most bytes a segment has; less where another limit is so small that it would not be kept exactly.
    pub segment_size: u64,
    /// Of each instance of a service that is not in `services`.
    pub instance: StreamLimits,
    /// Of each instance of a service.
    pub services: BTreeMap<ServiceName, StreamLimits>,
    /// What happens when the disk is full.
    pub disk_full: DiskFull,
}

/// What happens when the disk is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskFull {
    /// The oldest closed segments go, of the largest logs first. Once there are none, as [`Self::Wait`].
    #[default]
    DropOldest,
    /// Lines stay in the pipes until there is room; whoever writes more waits.
    Wait,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_size: 1 << 30,
            segment_size: 8 << 20,
            instance: StreamLimits::default(),
            services: BTreeMap::new(),
            disk_full: DiskFull::default(),
        }
    }
}

impl Limits {
    pub(crate) fn of(&self, name: &InstanceName) -> StreamLimits {
        self.services.get(&name.service).copied().unwrap_or(self.instance)
    }

    /// The size a segment is closed at while `growing` instances are written to: with all their segments full,
    /// a quarter of the limit can't be let go in whole segments.
    fn segment_size(&self, growing: usize) -> u64 {
        let share = self.max_size / (8 * growing.max(1) as u64);
        self.segment_size.min(share).clamp(SEGMENT_MIN, 1 << 30)
    }
}

/// Of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// A segment goes when its last line is older than this.
    pub retention: Duration,
    /// Bytes of this instance's log, both streams together; the oldest lines go first.
    pub max_size: u64,
    /// Lines that are kept in a second; further ones are left out, and a line says so. `None`: all.
    pub rate: Option<u32>,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self { retention: Duration::from_secs(7 * 24 * 3600), max_size: 1 << 30, rate: None }
    }
}

impl StreamLimits {
    /// The size a segment is closed at, so that letting the oldest go costs a small part of what is kept.
    pub(crate) fn segment_size(self) -> u64 {
        (self.max_size / 8).max(SEGMENT_MIN)
    }
}

/// What may come before the limit over all instances has to be looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    bytes: u64,
    /// The size a segment is closed at.
    pub(crate) segment_size: u64,
}

impl Room {
    /// Takes `bytes` and their marks of it. Whether there was enough.
    pub(crate) fn take(&mut self, bytes: u64) -> bool {
        let left = self.bytes.checked_sub(bytes + 2 * MARK_LEN as u64);
        self.bytes = left.unwrap_or(0);
        left.is_some()
    }
}

/// Lets go what is too old or, by the limits of its instance, too much.
pub(crate) fn expire(instances: &[Arc<Instance>]) {
    let now = clock::wall();
    for instance in instances {
        if let Err(error) = instance.expire(now) {
            tracing::warn!(instance = %instance.name, %error, "old log lines could not be removed");
        }
    }
}

/// Lets go what is too much over all, of those that have the most, with some room for what comes next.
pub(crate) fn bound(instances: &[Arc<Instance>], limits: &Limits) -> Room {
    let target = limits.max_size - limits.max_size / 64;
    let mut sizes: Vec<_> = instances.iter().map(|instance| (instance.bytes(), instance)).collect();
    let mut total: u64 = sizes.iter().map(|(size, _)| size).sum();
    while total > target
        && let Some((index, &(size, instance))) = sizes.iter().enumerate().max_by_key(|(_, (size, _))| *size)
    {
        match instance.let_go(total - target) {
            Ok(true) => {
                sizes[index].0 = instance.bytes();
                total = (total - size).saturating_add(sizes[index].0);
                continue;
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(instance = %instance.name, %error, "log lines could not be removed");
            }
        }
        sizes.swap_remove(index);
    }
    let growing = instances.iter().filter(|instance| instance.is_attached()).count();
    let bytes = limits.max_size.saturating_sub(total);
    Room { bytes, segment_size: limits.segment_size(growing) }
}
