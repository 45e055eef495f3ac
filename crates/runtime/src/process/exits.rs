//! How processes ended that are not this one's children: the keeper's notes, and what the kernel keeps.
//!
//! ```text
//!   keeper ── note ──► table ◄── Child::collect: not our child, and gone
//!                                   └─ not in it: PIDFD_GET_INFO ─ not there: some patience ─► Unknown
//! ```

use std::{
    collections::{HashMap, VecDeque},
    mem,
    os::fd::{AsRawFd, OwnedFd},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::WaitIdStatus;
use tenement_core::time::WallMillis;
use tokio::sync::Notify;

use super::{Exit, Handle, Status};
use crate::clock;

/// How long after its end a process's status may be on its way from the keeper. On a machine that is busy that is long.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same where there is no keeper: for its parent, such as init, to take it, after which the kernel tells.
const PATIENCE_ALONE: Duration = Duration::from_millis(200);
/// The kernel does not say when that has happened.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// As many as the keeper remembers.
const KEPT: usize = 10_000;

/// How a process ended, and when that was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// How.
    pub exit: Exit,
    /// When.
    pub at: WallMillis,
}

#[derive(Default)]
struct Table {
    by_process: HashMap<(u32, u64), Noted>,
    /// The oldest first.
    order: VecDeque<(u32, u64)>,
    /// Somebody is there who brings notes.
    expected: bool,
}

fn table() -> MutexGuard<'static, Table> {
    static TABLE: OnceLock<Mutex<Table>> = OnceLock::new();
    TABLE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

fn bell() -> &'static Notify {
    static BELL: Notify = Notify::const_new();
    &BELL
}

/// Whether there is somebody who brings notes, so that waiting for one makes sense.
pub(crate) fn expect(expected: bool) {
    table().expected = expected;
    bell().notify_waiters();
}

/// What the keeper says.
pub(crate) fn note(pid: u32, start_time: u64, exit: Exit, at: WallMillis) {
    let mut table = table();
    let process = (pid, start_time);
    if table.by_process.insert(process, Noted { exit, at }).is_none() {
        table.order.push_back(process);
    }
    if table.order.len() > KEPT
        && let Some(oldest) = table.order.pop_front()
    {
        table.by_process.remove(&oldest);
    }
    drop(table);
    bell().notify_waiters();
}

/// How a process ended that was not this one's child, if the keeper saw it. Of one that was gone before it could be
/// adopted, this is all that can be known.
#[must_use]
pub fn noted(process: &Handle) -> Option<Noted> {
    let ours = super::procfs::boot_id().is_ok_and(|boot| boot == process.boot_id);
    ours.then(|| table().by_process.get(&(process.pid, process.start_time)).copied()).flatten()
}

/// Forgets how processes ended of which `asked_for` does not know; which these are, as pid and start time.
pub fn forget(asked_for: impl Fn(u32, u64) -> bool) -> Vec<(u32, u64)> {
    let mut table = table();
    let is_seen = |&&(pid, start_time): &&(u32, u64)| !asked_for(pid, start_time);
    let seen: Vec<_> = table.order.iter().filter(is_seen).copied().collect();
    seen.iter().for_each(|process| {
        table.by_process.remove(process);
    });
    let Table { by_process, order, .. } = &mut *table;
    order.retain(|process| by_process.contains_key(process));
    seen
}

/// What is known of an adopted process that has ended.
#[derive(Debug, Default)]
pub(super) struct Inquiry {
    began: OnceLock<Instant>,
}

impl Inquiry {
    /// `None`: its status may still come; [`Inquiry::news`] waits for that. The process must have ended.
    pub(super) fn answer(&self, pid: u32, start_time: u64, pidfd: &OwnedFd) -> Option<Exit> {
        let (found, expected) = {
            let table = table();
            (table.by_process.get(&(pid, start_time)).map(|noted| noted.exit), table.expected)
        };
        if let Some(exit) = found.or_else(|| kernel_says(pidfd)) {
            return Some(exit);
        }
        let waited = self.began.get_or_init(clock::instant).elapsed();
        let patience = if expected { PATIENCE } else { PATIENCE_ALONE };
        (waited >= patience).then_some(Exit::UNKNOWN)
    }

    /// Returns when [`Inquiry::answer`] may have another answer than before.
    pub(super) async fn news(&self, is_answered: impl Fn() -> bool) {
        let rings = bell().notified();
        tokio::pin!(rings);
        rings.as_mut().enable();
        if !is_answered() {
            let _ = tokio::time::timeout(LOOK_AGAIN, rings).await;
        }
    }
}

/// `struct pidfd_info` of `linux/pidfd.h`, in its first size.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// `_IOWR(0xFF, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: libc::Ioctl =
    (3 << 30 | (mem::size_of::<PidfdInfo>() as libc::Ioctl) << 16 | 0xFF << 8 | 11) as libc::Ioctl;
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// What Linux keeps since 6.15, as long as somebody has a pidfd: the status, once the parent has taken it.
fn kernel_says(pidfd: &OwnedFd) -> Option<Exit> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the call writes at most as many bytes as its number says, which is the structure's size.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    if result < 0 || info.mask & PIDFD_INFO_EXIT == 0 {
        return None;
    }
    let (code, signal) = (info.exit_code >> 8 & 0xff, info.exit_code & 0x7f);
    let status = match signal {
        0 => Status::Code(code),
        number => Status::Signal { number, core: info.exit_code & 0x80 != 0 },
    };
    Some(Exit { status, oom: false })
}

/// What `waitid(2)` said.
pub(crate) fn status_of(status: &WaitIdStatus) -> Status {
    if let Some(code) = status.exit_status() {
        Status::Code(code)
    } else if let Some(number) = status.terminating_signal() {
        Status::Signal { number, core: status.dumped() }
    } else {
        Status::Unknown
    }
}

#[cfg(test)]
mod tests;
