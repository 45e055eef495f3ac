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

/// Gives memory that was freed back to the kernel, after work that took much and left holes: the C library keeps it
/// otherwise (`malloc_trim(3)`). Takes milliseconds, so it is for threads that may block. Does nothing with other C
/// libraries.
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no pointer, and may be called by any thread at any time (MT-Safe, malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes of resident memory that nothing uses, about: what [`give_back_memory`] may give back. With other C libraries 0.
#[must_use]
pub fn idle_memory() -> u64 {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: it takes no pointer, and may be called by any thread (mallinfo(3): what is unsafe are mallopt(3) meanwhile,
        // which nobody calls, and sums of several threads, which are about right).
        let used = unsafe { libc::mallinfo() };
        // They wrap at 4 GiB. mallinfo2(3) does not, but is younger than the C libraries this is to run with.
        let used = [used.uordblks, used.hblkhd].map(|bytes| u64::from(bytes.cast_unsigned()));
        anonymous().unwrap_or_default().saturating_sub(used.iter().sum())
    }
    #[cfg(not(target_env = "gnu"))]
    0
}

/// Bytes of resident memory that are no file's.
#[cfg(target_env = "gnu")]
fn anonymous() -> Option<u64> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = pages.split(' ').skip(1).map_while(|pages| pages.parse::<u64>().ok());
    let (resident, files) = (pages.next()?, pages.next()?);
    Some(resident.saturating_sub(files) * rustix::param::page_size() as u64)
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

    #[cfg(target_env = "gnu")]
    #[test]
    fn holes_of_much_work_go_back_to_the_kernel() {
        const MEBIBYTE: u64 = 1 << 20;
        let mut all: Vec<_> = (0..400_000).map(|number: u64| Some(Box::new([number; 32]))).collect();
        let full = load().resident_bytes;
        // The last ones stay, so that the end of the heap does.
        let kept = all.split_off(399_000);
        let idle = idle_memory();
        assert!(idle < 32 * MEBIBYTE, "{idle} bytes");
        drop(all);
        let idle = idle_memory();
        assert!(idle > 64 * MEBIBYTE, "{idle} bytes");
        give_back_memory();
        assert!(idle_memory() + 64 * MEBIBYTE < idle, "{idle} bytes before");
        assert!(load().resident_bytes + 64 * MEBIBYTE < full, "{full} bytes before");
        assert_eq!(kept.iter().flatten().map(|one| one[0]).min(), Some(399_000));
    }
}
