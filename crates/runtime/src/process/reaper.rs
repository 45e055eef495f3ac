//! Collects every child: the ones we started, and the orphans that come to us because we are a subreaper.
//!
//! ```text
//!   spawn ── track ──►  tracked: status is kept for `Process::exited`
//!   grandchild whose parent died ──► not tracked: reaped and forgotten
//! ```
//!
//! A process that uses this module starts children through it alone: the status of any other child would be taken for
//! an orphan's. Children of a process are its own whole, so this is one per process and not one per [`super::Host`].

use std::{
    collections::HashMap,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, Weak},
};

use super::{Exit, pidfd};

/// A child of ours and, once it is known, how it ended.
pub(super) struct Child {
    pub(super) pid: u32,
    pub(super) pidfd: OwnedFd,
    exit: OnceLock<Exit>,
    reaper: &'static Reaper,
}

impl Child {
    pub(super) fn new(pid: u32, pidfd: OwnedFd, reaper: &'static Reaper) -> Self {
        Self { pid, pidfd, exit: OnceLock::new(), reaper }
    }

    /// Says how it ended, where nobody else will.
    pub(super) fn settle(&self, exit: Exit) {
        let _ = self.exit.set(exit);
    }

    /// Takes the status from the kernel, once, whoever asks first. `None` while the child runs.
    pub(super) fn collect(&self) -> Option<Exit> {
        if let Some(exit) = self.exit.get() {
            return Some(*exit);
        }
        self.collect_from(&mut lock(&self.reaper.children))
    }

    /// The status and the place in the table go together: the moment it is taken, the pid may mean another process.
    fn collect_from(&self, children: &mut HashMap<u32, Weak<Self>>) -> Option<Exit> {
        if self.exit.get().is_none() {
            let exit = match pidfd::reap(&self.pidfd, false) {
                Ok(status) => status?,
                // Not ours (adopted), or taken by somebody: all that can be told is whether it is gone.
                Err(_) => pidfd::has_ended(&self.pidfd).then_some(Exit::UNKNOWN)?,
            };
            if children.get(&self.pid).is_some_and(|entry| std::ptr::eq(entry.as_ptr(), self)) {
                children.remove(&self.pid);
            }
            return Some(*self.exit.get_or_init(|| exit));
        }
        self.exit.get().copied()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let mut children = lock(&self.reaper.children);
        if children.get(&self.pid).is_some_and(|entry| entry.strong_count() == 0) {
            children.remove(&self.pid);
        }
    }
}

/// The one of this process.
pub(super) struct Reaper {
    children: Mutex<HashMap<u32, Weak<Child>>>,
    /// Held shared from before a child exists until it is tracked; alone while an unknown one is reaped.
    birth: RwLock<()>,
    idle: Mutex<bool>,
    work: Condvar,
}

/// While it is held, no unknown child is taken for an orphan.
pub(super) struct Birth<'a> {
    reaper: &'a Reaper,
    _guard: RwLockReadGuard<'a, ()>,
}

impl Birth<'_> {
    pub(super) fn track(&self, child: &Arc<Child>) {
        lock(&self.reaper.children).insert(child.pid, Arc::downgrade(child));
        let mut idle = lock(&self.reaper.idle);
        if *idle {
            *idle = false;
            self.reaper.work.notify_one();
        }
    }
}

impl Reaper {
    /// Makes this process a subreaper and starts the thread that waits for orphans.
    ///
    /// # Errors
    /// The thread could not be made.
    pub(super) fn get() -> io::Result<&'static Self> {
        static REAPER: OnceLock<Reaper> = OnceLock::new();
        static STARTED: Mutex<bool> = Mutex::new(false);
        let reaper = REAPER.get_or_init(|| Self {
            children: Mutex::default(),
            birth: RwLock::default(),
            idle: Mutex::default(),
            work: Condvar::new(),
        });
        let mut started = lock(&STARTED);
        if !*started {
            // SAFETY: sets a flag of this process.
            if unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } < 0 {
                tracing::warn!(error = %io::Error::last_os_error(), "orphans of instances will go to init");
            }
            std::thread::Builder::new()
                .name("reaper".into())
                .stack_size(128 * 1024)
                .spawn(|| reaper.run())?;
            *started = true;
        }
        Ok(reaper)
    }

    pub(super) fn birth(&self) -> Birth<'_> {
        Birth { reaper: self, _guard: self.birth.read().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Reaps every child that has ended, without waiting. Returns whether any child is left at all.
    pub(super) fn drain(&self) -> bool {
        loop {
            match peek(false) {
                Peek::Ended(pid) => self.take(pid),
                Peek::NoneEnded => return true,
                Peek::Childless => return false,
            }
        }
    }

    fn run(&self) {
        loop {
            match peek(true) {
                Peek::Ended(pid) => self.take(pid),
                Peek::NoneEnded => {}
                Peek::Childless => {
                    let mut idle = lock(&self.idle);
                    *idle = true;
                    // A child that was tracked just before did not find us idle, and is found by a look now.
                    if !matches!(peek(false), Peek::Childless) {
                        *idle = false;
                        continue;
                    }
                    while *idle {
                        idle = self.work.wait(idle).unwrap_or_else(PoisonError::into_inner);
                    }
                }
            }
        }
    }

    /// `pid` is a zombie child of ours, so the number can't mean another process until it is reaped.
    fn take(&self, pid: u32) {
        let alone = self.birth.write().unwrap_or_else(PoisonError::into_inner);
        let mut children = lock(&self.children);
        let child = children.get(&pid).and_then(Weak::upgrade);
        match &child {
            Some(child) => drop(child.collect_from(&mut children)),
            None => reap_orphan(pid),
        }
        drop(children);
        drop(alone);
    }
}

enum Peek {
    Ended(u32),
    NoneEnded,
    Childless,
}

/// Looks for an ended child and leaves it as it is.
fn peek(block: bool) -> Peek {
    let wait = if block { 0 } else { libc::WNOHANG };
    loop {
        // SAFETY: `info` is a plain structure which the call fills in.
        let (result, pid) = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let result = libc::waitid(libc::P_ALL, 0, &raw mut info, libc::WEXITED | libc::WNOWAIT | wait);
            (result, info.si_pid())
        };
        if result == 0 {
            return u32::try_from(pid).ok().filter(|&pid| pid > 0).map_or(Peek::NoneEnded, Peek::Ended);
        }
        if io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return Peek::Childless;
        }
    }
}

fn reap_orphan(pid: u32) {
    // SAFETY: `info` is a plain structure; WNOHANG because another thread may have reaped it meanwhile.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        libc::waitid(libc::P_PID, pid, &raw mut info, libc::WEXITED | libc::WNOHANG);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
