//! All timers of all instances in one heap, so that the loop sleeps for the earliest alone.

use std::{cmp::Reverse, collections::BinaryHeap};

use tenement_core::{lifecycle::Timer, name::InstanceName, time::Millis};

/// One timer that was set. Never taken back: a late one is ignored by its generation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alarm {
    pub(super) at: Millis,
    pub(super) timer: Timer,
    pub(super) generation: u64,
    pub(super) name: InstanceName,
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

    /// Takes one that is due.
    pub(super) fn due(&mut self, now: Millis) -> Option<Alarm> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(alarm)| alarm)
    }
}
