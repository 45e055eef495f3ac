//! What this process itself uses.

use std::{fs, sync::OnceLock, time::Duration};

use rustix::process::{Resource, getrlimit};
use tenement_core::time::WallMillis;

use crate::{clock, process::Stat};

static STARTED: OnceLock<WallMillis> = OnceLock::new();

/// What the kernel counts of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnUsage {
    /// Processor time, user and system.
    pub cpu_time: Duration,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// As many as there may be; `None`: no limit.
    pub max_fds: Option<u64>,
}

/// What it does, without what takes longer to find out the more files are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnLoad {
    /// Processor time, user and system.
    pub cpu_time: Duration,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
}

/// When this process started, which is when this was called first. Stays the same when the clock is set.
#[must_use]
pub fn started() -> WallMillis {
    *STARTED.get_or_init(clock::wall)
}

/// Looks it up in `/proc/self`. What can't be read is 0.
#[must_use]
pub fn usage() -> OwnUsage {
    let OwnLoad { cpu_time, resident_bytes } = load();
    OwnUsage {
        cpu_time,
        resident_bytes,
        // One of them is the one that lists them.
        open_fds: fs::read_dir("/proc/self/fd").map_or(0, |all| (all.count() as u64).saturating_sub(1)),
        max_fds: getrlimit(Resource::Nofile).current,
    }
}

/// Looks it up in `/proc/self/stat`. What can't be read is 0.
#[must_use]
pub fn load() -> OwnLoad {
    let stat = Stat::read(std::process::id()).ok();
    OwnLoad {
        cpu_time: stat.map(|stat| stat.cpu_time()).unwrap_or_default(),
        resident_bytes: stat.map_or(0, |stat| stat.memory_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself() {
        let before = usage();
        assert!(before.resident_bytes > 100 << 10, "{before:?}");
        let held: Vec<_> = (0..7).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        assert!(usage().open_fds >= held.len() as u64 + 3, "{before:?}");
    }
}
