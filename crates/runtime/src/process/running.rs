//! A process that runs, or ran.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;

use super::{
    Exit, Handle,
    exit::Status,
    pidfd,
    procfs::{self, Stat},
    reaper::{Child, Collected, Reaper},
    tree::Tree,
};

/// One run of an instance: its first process, and the tree of what that started. Cheap to clone; dropping it ends
/// nothing.
#[derive(Clone)]
pub struct Process {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) handle: Handle,
    pub(super) child: Arc<Child>,
    pub(super) tree: Tree,
    pub(super) reaper: &'static Reaper,
    /// Out-of-memory kills on the host before it started.
    pub(super) oom_before: Option<u64>,
    /// We sent SIGKILL, so that one is not the kernel's.
    pub(super) killed: AtomicBool,
    /// Its tree was ended: a number of its may from now on mean another's process.
    pub(super) gone: AtomicBool,
}

/// What a tree of processes uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in bytes; charged memory where a memory controller counts it.
    pub memory_bytes: u64,
    /// Processor time since the start, of all processors together.
    pub cpu_time: Duration,
}

impl Process {
    pub(super) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// What to write down to find it again.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.inner.handle
    }

    /// The first process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.inner.handle.pid
    }

    /// Returns when the first process has ended and is reaped; others of its tree may still live. Any number may wait.
    /// Must run on a runtime with I/O.
    pub async fn exited(&self) -> Exit {
        loop {
            match self.inner.child.collect() {
                Collected::Ended(exit) => return self.explained(exit),
                Collected::Awaited => {
                    self.inner.child.news().await;
                    continue;
                }
                Collected::Running => {}
            }
            if let Err(error) = pidfd::ended(&self.inner.child.pidfd).await {
                // Only for want of descriptors or memory: the exit must not be missed for that.
                tracing::warn!(%error, pid = self.pid(), "exit can't be watched, looking again in a moment");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// How the first process ended, if it has. That may be known only a moment later of one that was adopted.
    #[must_use]
    pub fn try_exited(&self) -> Option<Exit> {
        match self.inner.child.collect() {
            Collected::Ended(exit) => Some(self.explained(exit)),
            Collected::Running | Collected::Awaited => None,
        }
    }

    fn explained(&self, exit: Exit) -> Exit {
        Exit { oom: self.was_oom(exit), ..exit }
    }

    /// Without a memory controller the kernel does not say whom it killed, only how many: so a SIGKILL that is not ours
    /// while that number grew is taken for one of them.
    fn was_oom(&self, exit: Exit) -> bool {
        let inner = &self.inner;
        if !matches!(exit.status, Status::Signal { number: libc::SIGKILL, .. }) {
            return false;
        }
        if inner.killed.load(Ordering::Acquire) {
            return false;
        }
        if let Some(count) = inner.tree.group().and_then(super::tree::Group::oom_kills) {
            return count > 0;
        }
        matches!((inner.oom_before, procfs::oom_kills()), (Some(before), Some(now)) if now > before)
    }

    /// Asks every process of the tree to end: SIGTERM, and SIGCONT so that a stopped one hears it.
    pub fn terminate(&self) {
        if !self.inner.gone.load(Ordering::Acquire) {
            self.inner.tree.signal(&[Signal::TERM, Signal::CONT]);
        }
    }

    /// Ends every process of the tree: on return none lives, those that were ours to reap are reaped, and the group is
    /// removed. May be called again, and dropped.
    pub async fn kill_tree(&self) {
        let inner = &self.inner;
        if inner.gone.load(Ordering::Acquire) {
            return;
        }
        if inner.child.collect() == Collected::Running {
            inner.killed.store(true, Ordering::Release);
        }
        while let Err(error) = inner.tree.kill().await {
            tracing::warn!(%error, pid = self.pid(), "process tree not ended yet, trying again");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.exited().await;
        inner.reaper.drain();
        inner.gone.store(true, Ordering::Release);
        if let Some(group) = inner.tree.group() {
            group.remove();
        }
    }

    /// The living processes of the tree.
    #[must_use]
    pub fn members(&self) -> Vec<u32> {
        if self.inner.gone.load(Ordering::Acquire) { Vec::new() } else { self.inner.tree.members() }
    }

    /// Whether a process belongs to the tree.
    #[must_use]
    pub fn owns(&self, pid: u32) -> bool {
        // Until its status is taken, the number of the first process is nobody else's.
        let is_first = pid == self.pid() && self.inner.child.collect() == Collected::Running;
        is_first || (!self.inner.gone.load(Ordering::Acquire) && self.inner.tree.owns(pid))
    }

    /// What the tree uses. Reads one file where cgroups count it, else one per process of the tree. Without cgroups who
    /// belongs to it is looked up in all of `/proc`, once in two seconds for all trees together; what has been started
    /// since then may be missing. Blocks for as long as that takes.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let group = self.inner.tree.group();
        let counted =
            (group.and_then(super::tree::Group::memory_bytes), group.and_then(super::tree::Group::cpu_time));
        if let (Some(memory_bytes), Some(cpu_time)) = counted {
            return Usage { memory_bytes, cpu_time };
        }
        let gone = self.inner.gone.load(Ordering::Acquire);
        let stats = if gone { Vec::new() } else { self.inner.tree.stats() };
        Usage {
            memory_bytes: counted.0.unwrap_or_else(|| stats.iter().map(Stat::memory_bytes).sum()),
            cpu_time: counted.1.unwrap_or_else(|| stats.iter().map(Stat::cpu_time).sum()),
        }
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("handle", self.handle()).finish_non_exhaustive()
    }
}
