//! What an operator should know of.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use tenement_core::name::InstanceName;

use crate::retention::DiskFull;

/// Something an operator should know of; told once when it begins, and not again for each line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incident {
    /// An instance has begun to write more lines a second than it may.
    RateLimited {
        /// Which.
        instance: InstanceName,
        /// The lines a second it may write.
        limit: u32,
    },
    /// The disk has no room for what was written.
    DiskFull {
        /// Whose lines were the first that had no room.
        instance: InstanceName,
        /// What happens now.
        policy: DiskFull,
    },
    /// All lines have had room for some seconds, and there is more.
    DiskHasRoom {
        /// Whose lines were the first that had no room.
        instance: InstanceName,
        /// Bytes of the oldest lines that went for it.
        let_go: u64,
    },
}

/// Is told what happens. Called on the thread that takes lines in, which waits for it.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn happened(&self, incident: &Incident);
}

impl<F: Fn(&Incident) + Send + Sync> Observer for F {
    fn happened(&self, incident: &Incident) {
        self(incident);
    }
}

/// What came of a full disk, since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskStats {
    /// It is: lines have no room, or only what the oldest make.
    pub full: bool,
    /// How often room was missed.
    pub failures: u64,
    /// Bytes of the oldest lines that went for it.
    pub let_go: u64,
}

/// The same as atomics.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) full: AtomicBool,
    pub(crate) failures: AtomicU64,
    pub(crate) let_go: AtomicU64,
}

impl Disk {
    pub(crate) fn stats(&self) -> DiskStats {
        DiskStats {
            full: self.full.load(Relaxed),
            failures: self.failures.load(Relaxed),
            let_go: self.let_go.load(Relaxed),
        }
    }
}
