//! What a daemon that is gone has left running.
//!
//! ```text
//!   Handle ── boot id, pid, start time, group ──┬─► Running   the very process
//!                                               ├─► Ended     it is gone; its tree may not be
//!                                               └─► refused   can't be proven: not touched
//!   in our groups or with our mark, and of no handle ──► Unknown ──┬─► Proof     it says which run's it is
//!                                                                  └─► ended     a start that was cut short
//! ```
//!
//! A process says which run's it is by its marker: the data directory, the number of the run, and the moment of its start,
//! which is also the kernel's. What it starts carries the same, and has started later.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    sync::Arc,
};

use super::{
    AdoptError, Exit, Handle, Host, Process, Strategy, exits,
    marker::Marker,
    pidfd,
    procfs::{self, Stat},
    reaper::Child,
    tree::{Group, MARKER, Tree, Walk},
};

/// What became of a process that an earlier daemon started.
#[derive(Debug)]
pub enum Recovered {
    /// It is there and taken on.
    Running(Process),
    /// It has ended. [`Process::kill_tree`] ends what is left of its tree.
    Ended(Process),
}

/// Processes of an earlier daemon of which nothing is written down.
#[derive(Debug)]
pub struct Unknown {
    tree: Tree,
    /// Which run's they are, if the first of them is there and says so.
    pub proof: Option<Proof>,
}

impl Unknown {
    /// Whether they are where that process was: its own, or of a later run of the same instance.
    #[must_use]
    pub fn is_in_place_of(&self, handle: &Handle) -> bool {
        match &self.tree {
            Tree::Unified(group) | Tree::Freezer(group) => handle.cgroup.as_ref() == Some(&group.dir),
            Tree::Walk(walk) => handle.marker.as_ref() == Some(&walk.marker),
        }
    }
}

/// What the first process of a run carries.
#[derive(Clone, Debug)]
pub struct Proof {
    /// As it was to be written down.
    pub handle: Handle,
    /// The pid of the daemon that started it.
    pub started_by: u32,
    /// Its environment as it was started with.
    pub env: BTreeMap<String, String>,
}

/// How often an environment that is empty is looked at again, a millisecond later.
const EXECUTING: usize = 50;
/// Between the moment that a marker names and the start of its process there is a system call; in clock ticks.
const BIRTH: u64 = 200;

impl Host {
    /// Takes on a process that an earlier daemon started. What can't be proven to be that process is not touched: boot
    /// id, pid, start time and its group must all be what they were.
    ///
    /// # Errors
    /// See [`AdoptError`].
    pub fn recover(&self, handle: &Handle) -> Result<Recovered, AdoptError> {
        if handle.boot_id != self.boot_id {
            return Err(AdoptError::OtherBoot);
        }
        if !self.is_of_here(handle) {
            return Err(AdoptError::OtherPlace);
        }
        let Some(pidfd) = self.find(handle)? else { return Ok(Recovered::Ended(self.lost(handle)?)) };
        let group = match &handle.cgroup {
            // How it ended is about to be known.
            Some(dir) if pidfd::has_ended(&pidfd) => self.group_at(dir),
            Some(dir) => Some(self.group_of(handle.pid, dir)?),
            None => None,
        };
        let child = Arc::new(Child::new(handle.pid, handle.start_time, pidfd, self.reaper));
        Ok(Recovered::Running(self.process(handle.clone(), child, group, handle.marker.clone())))
    }

    /// Whether it was started for this data directory.
    fn is_of_here(&self, handle: &Handle) -> bool {
        let folder = self.folder();
        let in_group = |dir: &Path| dir.iter().any(|part| part == folder.as_str());
        handle.marker.as_deref().is_none_or(|marker| marker.starts_with(&format!("{}-", self.mark)))
            && handle.cgroup.as_deref().is_none_or(in_group)
    }

    /// A descriptor of the process, unless it is gone or its number is another's.
    fn find(&self, handle: &Handle) -> io::Result<Option<std::os::fd::OwnedFd>> {
        let pidfd = match pidfd::open(handle.pid) {
            Ok(pidfd) => pidfd,
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
            Err(error) => return Err(error),
        };
        // Read after the descriptor is held: what is read is about the process that it holds, or that is dead by then.
        let is_it = Stat::read(handle.pid).is_ok_and(|stat| stat.start_time == handle.start_time);
        Ok(is_it.then_some(pidfd))
    }

    /// The group of a process to adopt, which must be one of ours and hold it.
    fn group_of(&self, pid: u32, dir: &Path) -> Result<Group, AdoptError> {
        match self.group_at(dir) {
            Some(group) if group.holds(pid) => Ok(group),
            _ => Err(AdoptError::NotInGroup(pid)),
        }
    }

    fn group_at(&self, dir: &Path) -> Option<Group> {
        let hierarchy = self.hierarchy.as_ref()?;
        let name = dir.strip_prefix(&hierarchy.root).ok()?.to_str()?;
        (!name.is_empty() && !name.contains('/')).then(|| hierarchy.named(name))
    }

    fn lost(&self, handle: &Handle) -> io::Result<Process> {
        let group = handle.cgroup.as_deref().and_then(|dir| self.group_at(dir));
        let child = Child::new(handle.pid, handle.start_time, self.null.try_clone()?, self.reaper);
        child.settle(exits::noted(handle).map_or(Exit::UNKNOWN, |noted| noted.exit));
        Ok(self.process(handle.clone(), Arc::new(child), group, handle.marker.clone()))
    }

    /// The processes that an earlier daemon of this data directory left and that belong to none of `known`: it was killed
    /// before it had written down what it started, or what was written is lost.
    ///
    /// # Errors
    /// They could not be looked for.
    pub fn unknown(&self, known: &[Handle]) -> io::Result<Vec<Unknown>> {
        let trees = match &self.hierarchy {
            Some(hierarchy) => {
                let known: BTreeSet<_> = known.iter().filter_map(|handle| handle.cgroup.as_deref()).collect();
                let groups = fs::read_dir(&hierarchy.root)?.flatten().filter(|entry| entry.path().is_dir());
                let groups = groups.filter(|entry| !known.contains(entry.path().as_path()));
                let groups = groups.filter_map(|entry| self.group_at(&entry.path()));
                let (empty, left): (Vec<_>, Vec<_>) = groups.partition(|group| group.members().is_empty());
                empty.iter().for_each(Group::remove);
                left.into_iter().map(|group| self.tree(group)).collect()
            }
            None => self.unknown_marks(known),
        };
        let proven = |tree: Tree| Unknown { proof: self.proof(&tree), tree };
        Ok(trees.into_iter().map(proven).collect())
    }

    /// The first process of a tree, if it says itself which run's it is.
    fn proof(&self, tree: &Tree) -> Option<Proof> {
        let stats = tree.members().into_iter().filter_map(|pid| Some((pid, Stat::read(pid).ok()?)));
        // Whoever leads a session of its own first: what it has started came later.
        let (pid, first) = stats.min_by_key(|(pid, stat)| (stat.start_time, stat.session != *pid, *pid))?;
        let environment = environment_of(pid)?;
        let env: BTreeMap<String, String> = environment
            .split(|&byte| byte == 0)
            .filter_map(|entry| {
                let (key, value) = std::str::from_utf8(entry).ok()?.split_once('=')?;
                Some((key.to_owned(), value.to_owned()))
            })
            .collect();
        let marker = env.get(MARKER)?;
        let said = Marker::parse(marker).filter(|said| said.mark == self.mark)?;
        let is_first = first.session == pid
            && (said.ticks..=said.ticks.saturating_add(BIRTH)).contains(&first.start_time);
        let handle = Handle {
            pid,
            start_time: first.start_time,
            boot_id: self.boot_id.clone(),
            run: said.run,
            strategy: self.strategy,
            cgroup: tree.group().map(|group| group.dir.clone()),
            marker: tree.group().is_none().then(|| marker.clone()),
        };
        is_first.then_some(Proof { handle, started_by: said.daemon, env })
    }

    /// Ends processes, and removes their groups.
    ///
    /// # Errors
    /// They could not be ended.
    pub async fn end_unknown(&self, unknown: &[Unknown]) -> io::Result<()> {
        for Unknown { tree, .. } in unknown {
            tracing::warn!(pids = ?tree.members(), "ending processes of a start that was cut short");
            tree.kill().await?;
            tree.group().into_iter().for_each(Group::remove);
        }
        Ok(())
    }

    fn tree(&self, group: Group) -> Tree {
        match self.strategy {
            Strategy::Unified => Tree::Unified(group),
            Strategy::Freezer | Strategy::Walk => Tree::Freezer(group),
        }
    }

    /// The trees whose marker is of this data directory and of no handle. Looks through all of `/proc`.
    fn unknown_marks(&self, known: &[Handle]) -> Vec<Tree> {
        let known: BTreeSet<_> = known.iter().filter_map(|handle| handle.marker.as_deref()).collect();
        let ours = format!("{MARKER}={}-", self.mark);
        let mut unknown = BTreeMap::new();
        for pid in procfs::all_pids() {
            let (Ok(stat), Ok(environment)) = (Stat::read(pid), procfs::read(format!("/proc/{pid}/environ")))
            else {
                continue;
            };
            let entry = environment.split(|&byte| byte == 0).find(|entry| entry.starts_with(ours.as_bytes()));
            let marker = entry.and_then(|entry| std::str::from_utf8(&entry[MARKER.len() + 1..]).ok());
            if let Some(marker) = marker.filter(|marker| !stat.is_dead() && !known.contains(marker)) {
                // The first of a tree is the one that started first.
                let first = unknown.entry(marker.to_owned()).or_insert((stat.start_time, pid));
                *first = (*first).min((stat.start_time, pid));
            }
        }
        let walk = |(marker, (start_time, pid))| Tree::Walk(Walk { pid, start_time, marker });
        unknown.into_iter().map(walk).collect()
    }
}

/// What a process has in its environment. One that is just executing another program has none for a moment.
fn environment_of(pid: u32) -> Option<Vec<u8>> {
    for _ in 0..EXECUTING {
        let environment = procfs::read(format!("/proc/{pid}/environ")).ok()?;
        if !environment.is_empty() {
            return Some(environment);
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    None
}
