//! All timers of all instances in one heap, so that the loop sleeps for the earliest alone.
//!
//! When the loop finds that it slept much too long, this process or the whole machine was stopped (SIGSTOP, a virtual machine
//! that was suspended). Then what became due says nothing: requests wait to be accepted that would have kept instances
//! awake, and instances had no time either. So all that is due gets a moment more, once.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use tenement_core::{lifecycle::Timer, name::InstanceName, time::Millis};

/// A loop that is so late was stopped.
const LATE: Duration = Duration::from_secs(1);
/// What everybody gets after that.
const MOMENT: Duration = Duration::from_secs(2);

/// One timer that was set. Never taken back: a late one is ignored by its generation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alarm {
    pub(super) at: Millis,
    pub(super) timer: Timer,
    pub(super) generation: u64,
    pub(super) name: InstanceName,
    /// Set anew after a stop.
    pub(super) postponed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<Alarm>>);

impl Timers {
    pub(super) fn set(&mut self, alarm: Alarm) {
        self.0.push(Reverse(alarm));
    }

    /// When the next one rings.
    pub(super) fn next(&self) -> Option<Millis> {
        self.0.peek().map(|Reverse(alarm)| alarm.at)
    }

    /// Postpones what is due, if it should have rung long ago.
    pub(super) fn allow_for_a_stop(&mut self, now: Millis) {
        if self.next().is_none_or(|at| at.after(LATE) > now) {
            return;
        }
        let due: Vec<_> = std::iter::from_fn(|| self.due(now)).collect();
        let count = due.iter().filter(|alarm| !alarm.postponed).count();
        for alarm in due {
            let at = if alarm.postponed { alarm.at } else { now.after(MOMENT) };
            self.set(Alarm { at, postponed: true, ..alarm });
        }
        if count > 0 {
            tracing::warn!(
                count,
                "this process was stopped for a while, or could not run: what became due is postponed"
            );
        }
    }

    /// Takes one that is due.
    pub(super) fn due(&mut self, now: Millis) -> Option<Alarm> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(alarm)| alarm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm(at: u64, generation: u64) -> Alarm {
        let name = InstanceName::new("app", "a").unwrap();
        Alarm { at: Millis(at), timer: Timer::Idle, generation, name, postponed: false }
    }

    // faults: D7
    #[test]
    fn what_became_due_during_a_stop_rings_a_moment_later_and_then_whatever_happens() {
        let mut timers = Timers::default();
        timers.set(alarm(1000, 1));
        timers.set(alarm(1500, 2));
        timers.set(alarm(99_000, 3));
        timers.allow_for_a_stop(Millis(1999));
        assert_eq!(timers.next(), Some(Millis(1000)), "not late");
        timers.allow_for_a_stop(Millis(60_000));
        assert_eq!(timers.due(Millis(60_000)), None);
        assert_eq!(timers.next(), Some(Millis(62_000)));
        timers.allow_for_a_stop(Millis(70_000));
        let rung: Vec<_> =
            std::iter::from_fn(|| timers.due(Millis(70_000))).map(|alarm| alarm.generation).collect();
        assert_eq!(rung, [1, 2]);
        assert_eq!(timers.next(), Some(Millis(99_000)));
    }
}
