//! The keeper's children: daemons, and what comes to it because a daemon died.

use std::collections::{HashSet, VecDeque};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::protocol::Ended;
use crate::{
    clock,
    process::{Peek, Stat, Status, all_pids, peek, status_of},
};

/// Exits that are remembered; of more than these the oldest are forgotten.
const EXITS_MAX: usize = 10_000;

/// Takes the status of a child that has ended, if there is one. Does not wait.
pub(super) fn reap() -> Option<Ended> {
    let Peek::Ended(pid) = peek(false) else { return None };
    // It is a zombie until its status is taken, so this is about it.
    let start_time = Stat::read(pid).map_or(0, |stat| stat.start_time);
    let child = WaitId::Pid(Pid::from_raw(pid.cast_signed())?);
    let status = waitid(child, WaitIdOptions::EXITED | WaitIdOptions::NOHANG).ok().flatten();
    let status = status.map_or(Status::Unknown, |status| status_of(&status));
    Some(Ended::new(pid, start_time, status, clock::wall()))
}

/// The living children of this process: pid and start time. Looks through all of `/proc`.
pub(super) fn living() -> HashSet<(u32, u64)> {
    let own = std::process::id();
    let stats = all_pids().into_iter().filter_map(|pid| Some((pid, Stat::read(pid).ok()?)));
    let ours = stats.filter(|(_, stat)| stat.parent == own && !stat.is_dead());
    ours.map(|(pid, stat)| (pid, stat.start_time)).collect()
}

/// Signals children. Their numbers are nobody else's, as only this process takes their status.
pub(super) fn kill(children: impl Iterator<Item = (u32, u64)>) {
    for pid in children.filter_map(|(pid, _)| Pid::from_raw(pid.cast_signed())) {
        // One that has just ended is not there any more; nothing else can go wrong.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// How children ended that a daemon may ask for, in the order in which they did.
#[derive(Debug, Default)]
pub(super) struct Exits {
    all: VecDeque<(u64, Ended)>,
    next: u64,
}

impl Exits {
    pub(super) fn note(&mut self, ended: Ended) {
        if self.all.len() == EXITS_MAX {
            self.all.pop_front();
        }
        self.all.push_back((self.next, ended));
        self.next += 1;
    }

    /// The first one from a place on, and the place after it.
    pub(super) fn from(&self, place: u64) -> Option<(u64, &Ended)> {
        let index = self.all.partition_point(|&(at, _)| at < place);
        self.all.get(index).map(|(at, ended)| (at + 1, ended))
    }

    pub(super) fn forget(&mut self, seen: &[(u32, u64)]) {
        let seen: HashSet<_> = seen.iter().copied().collect();
        self.all.retain(|(_, ended)| !seen.contains(&(ended.pid, ended.start_time)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenement_core::time::WallMillis;

    fn ended(pid: u32) -> Ended {
        Ended::new(pid, 1, Status::Code(0), WallMillis(0))
    }

    #[test]
    fn exits_are_told_in_order_and_the_newest_are_kept() {
        let mut exits = Exits::default();
        (0..EXITS_MAX as u32 + 2).for_each(|pid| exits.note(ended(pid)));
        let (place, first) = exits.from(0).unwrap();
        assert_eq!((place, first.pid), (3, 2));
        exits.forget(&[(3, 1), (4, 2)]);
        assert_eq!(
            exits.from(place).map(|(place, ended)| (place, ended.pid)),
            Some((5, 4)),
            "another 4 was seen"
        );
        let last = EXITS_MAX as u64 + 2;
        assert_eq!(exits.from(last), None);
        exits.note(ended(7));
        assert_eq!(exits.from(last), Some((last + 1, &ended(7))));
    }
}
