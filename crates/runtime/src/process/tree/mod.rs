//! A process and everything it started, as one thing that can be counted and ended.
//!
//! | strategy | what holds the tree together | how it is ended |
//! |---|---|---|
//! | [`Strategy::Unified`] | a cgroup v2 group, with or without controllers | `cgroup.kill`, atomic |
//! | [`Strategy::Freezer`] | a cgroup v1 freezer group | freeze, SIGKILL each, thaw |
//! | [`Strategy::Walk`] | ancestry, session, a marker in the environment | SIGSTOP and SIGKILL until none is found |
//!
//! The first two hold whatever the processes do. The third loses a process that leaves its session, loses its parent
//! and clears its environment.

mod census;
mod freezer;
mod group;
mod unified;
mod walk;

use std::{io, time::Duration};

use rustix::process::Signal;

pub(crate) use group::{Group, Hierarchy};
pub(crate) use walk::{MARKER, Walk, kill_strays};

use self::census::Census;
use super::{pidfd, procfs::Stat};

/// What holds the processes of one run together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Strategy {
    /// cgroup v2 with `cgroup.kill` (Linux 5.14).
    Unified,
    /// cgroup v1 freezer.
    Freezer,
    /// No cgroups: ancestry, session and environment.
    Walk,
}

/// The processes of one run.
#[derive(Debug)]
pub(crate) enum Tree {
    Unified(Group),
    Freezer(Group),
    Walk(Walk),
}

impl Tree {
    pub(crate) fn group(&self) -> Option<&Group> {
        match self {
            Self::Unified(group) | Self::Freezer(group) => Some(group),
            Self::Walk(_) => None,
        }
    }

    /// The living processes.
    pub(crate) fn members(&self) -> Vec<u32> {
        match self {
            Self::Unified(group) | Self::Freezer(group) => group.members(),
            Self::Walk(walk) => walk.members(),
        }
    }

    /// What each living process uses; without cgroups as of the last two seconds.
    pub(crate) fn stats(&self) -> Vec<Stat> {
        match self {
            Self::Unified(group) | Self::Freezer(group) => {
                group.members().into_iter().filter_map(|pid| Stat::read(pid).ok()).collect()
            }
            Self::Walk(walk) => Census::recent().stats(walk),
        }
    }

    pub(crate) fn owns(&self, pid: u32) -> bool {
        match self {
            Self::Unified(group) | Self::Freezer(group) => group.holds(pid),
            Self::Walk(walk) => walk.owns(pid),
        }
    }

    /// Sends a signal to each process there is now. A pid counts only if it is in the tree after it was opened: so a
    /// number that went to a stranger in between is never signalled.
    pub(crate) fn signal(&self, signals: &[Signal]) {
        // For want of descriptors some can't be asked; they are not forgotten, for the kill comes.
        for handle in self.open_members().unwrap_or_default() {
            for &signal in signals {
                pidfd::signal(&handle, signal);
            }
        }
    }

    /// Descriptors of all that there are now.
    fn open_members(&self) -> io::Result<Vec<std::os::fd::OwnedFd>> {
        let mut opened = Vec::new();
        for pid in self.members() {
            match pidfd::open(pid) {
                Ok(handle) => opened.push((pid, handle)),
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(opened.into_iter().filter(|(pid, _)| self.owns(*pid)).map(|(_, handle)| handle).collect())
    }

    /// Ends everything; on return no process of the tree lives.
    pub(crate) async fn kill(&self) -> io::Result<()> {
        match self {
            Self::Unified(group) => unified::kill(self, group).await,
            Self::Freezer(group) => freezer::kill(self, group).await,
            Self::Walk(walk) => walk::kill(walk).await,
        }
    }
}

/// Waits until all have ended, and says so in the log if it takes long: a process in uninterruptible sleep can't be
/// killed before what it waits for has come.
async fn wait_for(handles: &[std::os::fd::OwnedFd]) -> io::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(10);
    for handle in handles {
        loop {
            match tokio::time::timeout(PATIENCE, pidfd::ended(handle)).await {
                Ok(ended) => break ended?,
                Err(_) => {
                    tracing::warn!("a killed process has not ended yet: it may be in uninterruptible sleep")
                }
            }
        }
    }
    Ok(())
}

/// A pid and what makes it unique.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    Stat::read(pid).ok().filter(|stat| !stat.is_dead()).map(|stat| stat.start_time)
}
