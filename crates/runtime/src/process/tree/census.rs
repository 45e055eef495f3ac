//! All processes of this host, looked at once for every tree that no cgroup holds together.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::walk::{MARKER, Walk};
use crate::{
    clock,
    process::procfs::{self, Stat},
};

/// For so long a look at `/proc` serves whoever asks, however many they are.
const FRESH: Duration = Duration::from_secs(2);

/// The processes of a moment. Good enough for figures: who ends a tree looks for itself.
pub(crate) struct Census {
    taken: Instant,
    table: HashMap<u32, Stat>,
    children: HashMap<u32, Vec<u32>>,
    sessions: HashMap<u32, Vec<u32>>,
    marked: HashMap<Vec<u8>, Vec<u32>>,
}

static LAST: Mutex<Option<Arc<Census>>> = Mutex::new(None);

impl Census {
    /// One that is not older than two seconds. Looks through all of `/proc` if there is none. Blocks.
    pub(crate) fn recent() -> Arc<Self> {
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(census) if census.taken.elapsed() < FRESH => Arc::clone(census),
            _ => Arc::clone(last.insert(Arc::new(Self::take()))),
        }
    }

    fn take() -> Self {
        let mut census = Self {
            taken: clock::instant(),
            table: HashMap::new(),
            children: HashMap::new(),
            sessions: HashMap::new(),
            marked: HashMap::new(),
        };
        let own = std::process::id();
        for pid in procfs::all_pids().into_iter().filter(|&pid| pid != own) {
            let Ok(stat) = Stat::read(pid) else { continue };
            if stat.is_dead() {
                continue;
            }
            census.table.insert(pid, stat);
            census.children.entry(stat.parent).or_default().push(pid);
            census.sessions.entry(stat.session).or_default().push(pid);
            if let Some(marker) = marker(pid) {
                census.marked.entry(marker).or_default().push(pid);
            }
        }
        census
    }

    /// What each process of a tree uses. The first one is looked for even if it is younger than the census.
    pub(crate) fn stats(&self, walk: &Walk) -> Vec<Stat> {
        let of = |map: Option<&Vec<u32>>| map.cloned().unwrap_or_default();
        let leads = self.table.get(&walk.pid).is_none_or(|first| first.start_time == walk.start_time);
        let mut next = vec![walk.pid];
        next.extend(of(self.marked.get(walk.marker.as_bytes())));
        if leads {
            next.extend(of(self.sessions.get(&walk.pid)));
        }
        let mut seen = HashSet::new();
        let mut stats = Vec::new();
        while let Some(pid) = next.pop() {
            if !seen.insert(pid) {
                continue;
            }
            let known = if pid == walk.pid { Some(walk.start_time) } else { self.start_time(pid) };
            let now = Stat::read(pid).ok().filter(|now| !now.is_dead() && Some(now.start_time) == known);
            // Whoever is older can't descend from it: its number went to another process.
            let Some(now) = now.filter(|now| now.start_time >= walk.start_time) else { continue };
            stats.push(now);
            next.extend(of(self.children.get(&pid)));
        }
        stats
    }

    fn start_time(&self, pid: u32) -> Option<u64> {
        self.table.get(&pid).map(|stat| stat.start_time)
    }
}

/// The run that a process says it belongs to.
fn marker(pid: u32) -> Option<Vec<u8>> {
    let environment = procfs::read(format!("/proc/{pid}/environ")).ok()?;
    let of = |entry: &[u8]| Some(entry.strip_prefix(MARKER.as_bytes())?.strip_prefix(b"=")?.to_vec());
    environment.split(|&byte| byte == 0).find_map(of)
}
