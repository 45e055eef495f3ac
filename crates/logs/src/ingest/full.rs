//! What happens when the disk is full.
//!
//! Where the oldest lines go, they do so while there is still a little room: the daemon's state and its history are
//! mostly on the same disk.

use std::{
    io,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use rustix::io::Errno;
use tenement_core::{name::InstanceName, time::Millis};
use tenement_runtime::clock;

use super::Ingest;
use crate::{incident::Incident, instance::Instance, retention::DiskFull};

/// How long all writes have to be good before the disk is no longer called full, and how often it is looked at then.
const CALM: Duration = Duration::from_secs(5);
/// Room that is left to others, at most; on a small disk it is a thirty-second of it.
const RESERVE: u64 = 64 << 20;

/// A time in which the disk is full.
pub(super) struct Full {
    /// Whose lines were the first that had no room.
    instance: InstanceName,
    /// When it is looked at whether it is over, if nothing fails until then.
    pub(super) look_at: Millis,
    let_go: u64,
}

/// How much room there is on the disk, in bytes.
#[derive(Clone, Copy)]
struct Free {
    bytes: u64,
    /// So much is left to others.
    reserve: u64,
}

impl Free {
    fn on(dir: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(dir)?;
        let bytes = found.f_bavail.saturating_mul(found.f_frsize);
        let reserve = RESERVE.min(found.f_blocks.saturating_mul(found.f_frsize) / 32);
        Ok(Self { bytes, reserve })
    }

    /// Bytes that may come before it is looked at again. Others write too.
    fn until_next(self) -> u64 {
        self.reserve / 4
    }
}

/// Whether a write failed for want of room on the disk, or within a quota.
pub(super) fn is_full(error: &io::Error) -> bool {
    [Errno::NOSPC, Errno::DQUOT].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

impl Ingest {
    /// Lets go the oldest segment that is closed, of the largest log that has one, where that is wanted. Whether
    /// there was one.
    pub(super) fn make_room(&mut self, wants: &Instance) -> bool {
        let (look_at, policy) = (clock::now().after(CALM), self.shared.limits().disk_full);
        self.shared.disk.failures.fetch_add(1, Relaxed);
        match &mut self.full {
            Some(full) => full.look_at = look_at,
            None => {
                let instance = wants.name.clone();
                tracing::error!(%instance, ?policy, "the disk of the logs is full");
                self.shared.disk.full.store(true, Relaxed);
                self.full = Some(Full { instance: instance.clone(), look_at, let_go: 0 });
                self.shared.tell_of(&Incident::DiskFull { instance, policy });
            }
        }
        let gone = if policy == DiskFull::DropOldest { drop_oldest(&self.shared.all()) } else { None };
        if let (Some(bytes), Some(full)) = (gone, &mut self.full) {
            self.shared.disk.let_go.fetch_add(bytes, Relaxed);
            full.let_go += bytes;
        }
        gone.is_some()
    }

    /// Keeps a little room for others, where the oldest lines may go for it. `bytes` came since it was asked last.
    pub(super) fn keep_reserve(&mut self, bytes: u64, from: &Instance) {
        self.unlooked = self.unlooked.saturating_sub(bytes);
        if self.unlooked > 0 {
            return;
        }
        let wanted = self.shared.limits().disk_full == DiskFull::DropOldest;
        while let Ok(free) = Free::on(self.shared.dir()) {
            self.unlooked = free.until_next();
            if !wanted || free.bytes >= free.reserve || !self.make_room(from) {
                return;
            }
        }
    }

    /// Says that there is room again, once all had some and there is more than the oldest lines had to make.
    pub(super) fn end_full(&mut self, now: Millis) {
        let Some(full) = self.full.as_mut().filter(|full| full.look_at <= now) else { return };
        if Free::on(self.shared.dir()).is_ok_and(|free| free.bytes < 2 * free.reserve) {
            full.look_at = now.after(CALM);
            return;
        }
        let Some(Full { instance, let_go, .. }) = self.full.take() else { return };
        tracing::info!(let_go, "the disk of the logs has room again");
        self.shared.disk.full.store(false, Relaxed);
        self.shared.tell_of(&Incident::DiskHasRoom { instance, let_go });
    }
}

/// The bytes that went, if anything could go.
fn drop_oldest(instances: &[Arc<Instance>]) -> Option<u64> {
    let mut sizes: Vec<_> = instances.iter().map(|instance| (instance.bytes(), instance)).collect();
    sizes.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    for (_, instance) in sizes {
        match instance.drop_closed() {
            Ok(Some(bytes)) => return Some(bytes),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(instance = %instance.name, %error, "log lines could not be removed");
            }
        }
    }
    None
}
