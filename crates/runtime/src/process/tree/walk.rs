//! Without cgroups: a process belongs to the tree if it descends from the first one, is in its session, or carries the
//! run's marker in its environment.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
};

use rustix::process::Signal;

use super::{Tree, pidfd, start_time, wait_for};
use crate::process::procfs::{self, Stat};

/// The environment variable that marks the processes of a run.
pub(crate) const MARKER: &str = "TENEMENT_RUN";

/// What is known of the tree.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The first process; also the id of its session.
    pub(crate) pid: u32,
    pub(crate) start_time: u64,
    /// The value of [`MARKER`], different for every run on this host.
    pub(crate) marker: String,
}

impl Walk {
    /// Looks through all of `/proc`.
    pub(crate) fn members(&self) -> Vec<u32> {
        let table: HashMap<u32, Stat> = procfs::all_pids()
            .into_iter()
            .filter_map(|pid| Some((pid, Stat::read(pid).ok()?)))
            .filter(|(_, stat)| !stat.is_dead())
            .collect();
        let mut members: HashSet<u32> =
            table.iter().filter(|(pid, stat)| self.is_marked(**pid, stat)).map(|(pid, _)| *pid).collect();
        loop {
            let before = members.len();
            let children =
                table.iter().filter(|(_, stat)| members.contains(&stat.parent)).map(|(pid, _)| *pid);
            let children: Vec<u32> = children.collect();
            members.extend(children);
            if members.len() == before {
                return members.into_iter().collect();
            }
        }
    }

    pub(crate) fn owns(&self, pid: u32) -> bool {
        const GENERATIONS: usize = 64;
        let mut at = pid;
        for _ in 0..GENERATIONS {
            let Ok(stat) = Stat::read(at) else { return false };
            if stat.is_dead() {
                return false;
            }
            if self.is_marked(at, &stat) {
                return true;
            }
            if stat.parent <= 1 || stat.parent == std::process::id() {
                return false;
            }
            at = stat.parent;
        }
        false
    }

    fn is_marked(&self, pid: u32, stat: &Stat) -> bool {
        if stat.start_time < self.start_time || pid == std::process::id() {
            return false;
        }
        if pid == self.pid {
            return stat.start_time == self.start_time;
        }
        // A session's id is not given to another process as long as the session has a member; so what remains is that
        // all of ours are gone and the number went to a stranger who leads a session.
        if stat.session == self.pid && start_time(self.pid).is_none_or(|leader| leader == self.start_time) {
            return true;
        }
        let environment = environment_of(pid, stat);
        environment.split(|&b| b == 0).any(|entry| {
            entry.strip_prefix(MARKER.as_bytes()).and_then(|e| e.strip_prefix(b"="))
                == Some(self.marker.as_bytes())
        })
    }
}

/// The environment of a process. In the middle of an `execve` it reads as empty; an orphan that became our child is
/// then looked at again, because nothing else says that it is one of ours.
fn environment_of(pid: u32, stat: &Stat) -> Vec<u8> {
    const LOOKS: usize = 20;
    const PAUSE: std::time::Duration = std::time::Duration::from_micros(100);
    for _ in 0..LOOKS {
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { break };
        let is_orphan = stat.parent == std::process::id();
        if !environment.is_empty() || !is_orphan || Stat::read(pid).is_ok_and(|now| now.is_dead()) {
            return environment;
        }
        std::thread::sleep(PAUSE);
    }
    Vec::new()
}

/// Stops all that are found, so that they can't fork, then kills them; again, until nothing is found.
pub(super) async fn kill(tree: &Tree, walk: &Walk) -> io::Result<()> {
    const ROUNDS: usize = 1000;
    for _ in 0..ROUNDS {
        tree.signal(&[Signal::STOP]);
        let handles = tree.open_members();
        if handles.is_empty() {
            return Ok(());
        }
        for handle in &handles {
            pidfd::signal(handle, Signal::KILL);
        }
        wait_for(&handles).await?;
    }
    let alive = start_time(walk.pid) == Some(walk.start_time);
    Err(io::Error::other(format!("processes fork faster than they can be ended (first one alive: {alive})")))
}
