//! Without cgroups: a process belongs to the tree if it descends from the first one, is in its session, or carries the
//! run's marker in its environment.

use std::{
    collections::{HashMap, HashSet},
    io,
    time::Duration,
};

use rustix::process::Signal;

use super::{Tree, pidfd, start_time, wait_for};
use crate::{
    clock,
    process::procfs::{self, Stat},
};

/// The environment variable that marks the processes of a run.
pub(crate) const MARKER: &str = "TENEMENT_RUN";

/// What is known of the tree.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    /// The first process; also the id of its session.
    pub(crate) pid: u32,
    pub(crate) start_time: u64,
    /// The value of [`MARKER`], different for every run on this host.
    pub(crate) marker: String,
}

impl Walk {
    /// Looks through all of `/proc`. Blocks.
    pub(crate) fn members(&self) -> Vec<u32> {
        let table: HashMap<u32, Stat> = procfs::all_pids()
            .into_iter()
            .filter_map(|pid| Some((pid, Stat::read(pid).ok()?)))
            .filter(|(_, stat)| !stat.is_dead())
            .collect();
        let (mut members, mut unclear) = (HashSet::new(), Vec::new());
        for (&pid, stat) in &table {
            match self.evidence(pid, stat) {
                Evidence::Ours => drop(members.insert(pid)),
                Evidence::Unclear => unclear.push((pid, stat)),
                Evidence::None => {}
            }
        }
        self.look_again(unclear, &mut members);
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

    /// All that are unclear are waited for together: there may be hundreds that never get any clearer.
    fn look_again(&self, mut unclear: Vec<(u32, &Stat)>, members: &mut HashSet<u32>) {
        let start = clock::instant();
        while !unclear.is_empty() && start.elapsed() < EXEC {
            std::thread::sleep(PAUSE);
            unclear.retain(|(pid, stat)| {
                let evidence = self.evidence(*pid, stat);
                if evidence == Evidence::Ours {
                    members.insert(*pid);
                }
                evidence == Evidence::Unclear
            });
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
            if self.is_clearly_ours(at, &stat) {
                return true;
            }
            if stat.parent <= 1 || stat.parent == std::process::id() {
                return false;
            }
            at = stat.parent;
        }
        false
    }

    fn is_clearly_ours(&self, pid: u32, stat: &Stat) -> bool {
        let start = clock::instant();
        loop {
            match self.evidence(pid, stat) {
                Evidence::Unclear if start.elapsed() < EXEC => std::thread::sleep(PAUSE),
                evidence => return evidence == Evidence::Ours,
            }
        }
    }

    /// What a process itself shows.
    fn evidence(&self, pid: u32, stat: &Stat) -> Evidence {
        let ours = |is: bool| if is { Evidence::Ours } else { Evidence::None };
        if stat.start_time < self.start_time || pid == std::process::id() {
            return Evidence::None;
        }
        if pid == self.pid {
            return ours(stat.start_time == self.start_time);
        }
        // A session's id is not given to another process as long as the session has a member; so what remains is that
        // all of ours are gone and the number went to a stranger who leads a session.
        if stat.session == self.pid && start_time(self.pid).is_none_or(|leader| leader == self.start_time) {
            return Evidence::Ours;
        }
        let Ok(environment) = procfs::read(format!("/proc/{pid}/environ")) else { return Evidence::None };
        // In the middle of an execve it reads as empty, and of an orphan that became our child nothing else says
        // that it is one of ours.
        if environment.is_empty() && stat.parent == std::process::id() {
            let alive = Stat::read(pid).is_ok_and(|now| !now.is_dead());
            return if alive { Evidence::Unclear } else { Evidence::None };
        }
        ours(environment.split(|&b| b == 0).any(|entry| {
            entry.strip_prefix(MARKER.as_bytes()).and_then(|e| e.strip_prefix(b"="))
                == Some(self.marker.as_bytes())
        }))
    }
}

/// Whether a process is of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    Ours,
    /// It may be in the middle of an execve.
    Unclear,
    None,
}

/// For how long an execve may take, and how often it is looked whether it is over.
const EXEC: Duration = Duration::from_millis(2);
const PAUSE: Duration = Duration::from_micros(200);

/// Stops all that are found, so that they can't fork, then kills them; again, until nothing is found.
pub(super) async fn kill(walk: &Walk) -> io::Result<()> {
    const ROUNDS: usize = 1000;
    for _ in 0..ROUNDS {
        let tree = Tree::Walk(walk.clone());
        let stopped = tokio::task::spawn_blocking(move || {
            tree.signal(&[Signal::STOP]);
            tree.open_members()
        });
        let handles = stopped.await.map_err(io::Error::other)??;
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

/// Ends every child of this process, and what comes to it when those are gone: once all instances have ended, these
/// are what they lost sight of.
pub(crate) async fn kill_strays() -> io::Result<()> {
    const ROUNDS: usize = 1000;
    for _ in 0..ROUNDS {
        let own = std::process::id();
        let looked = tokio::task::spawn_blocking(move || {
            let alive = |pid: &u32| Stat::read(*pid).is_ok_and(|stat| stat.parent == own && !stat.is_dead());
            let children = procfs::all_pids().into_iter().filter(alive);
            // Of a child the number is nobody else's until its status is taken; so it is looked at again.
            let opened = children.filter_map(|pid| Some((pid, pidfd::open(pid).ok()?)));
            opened.filter(|(pid, _)| alive(pid)).map(|(_, handle)| handle).collect::<Vec<_>>()
        });
        let handles = looked.await.map_err(io::Error::other)?;
        if handles.is_empty() {
            return Ok(());
        }
        tracing::warn!(count = handles.len(), "ending processes that belong to no instance any more");
        for handle in &handles {
            pidfd::signal(handle, Signal::KILL);
        }
        wait_for(&handles).await?;
    }
    Err(io::Error::other("processes fork faster than they can be ended"))
}
