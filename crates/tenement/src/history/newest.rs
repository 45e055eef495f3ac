//! Whose the newest events are, for who waits for those of some instances.

use std::collections::VecDeque;

use tenement_core::name::InstanceName;
use tokio::sync::watch;

use super::EventQuery;

/// So many are known by name.
const KNOWN: usize = 1000;

/// Events that were written.
#[derive(Debug, Default)]
pub(super) struct Newest {
    count: u64,
    /// Whose the last of them are, the newest at the end.
    names: VecDeque<InstanceName>,
}

impl Newest {
    /// Takes note of events that were written.
    pub(super) fn add(&mut self, names: impl Iterator<Item = InstanceName>) {
        for name in names {
            self.count += 1;
            self.names.push_back(name);
        }
        self.names.drain(..self.names.len().saturating_sub(KNOWN));
    }

    /// Whether one of those after the first `seen` may be what `query` asks for.
    fn concern(&self, query: &EventQuery, seen: u64) -> bool {
        let new = usize::try_from(self.count - seen).unwrap_or(usize::MAX);
        let first = self.names.len().checked_sub(new);
        first.is_none_or(|first| self.names.range(first..).any(|name| query.covers(name)))
    }
}

/// Tells that something happened.
#[derive(Clone, Debug)]
pub struct Happenings {
    newest: watch::Receiver<Newest>,
    seen: u64,
}

impl Happenings {
    pub(super) fn new(newest: watch::Receiver<Newest>) -> Self {
        Self { newest, seen: 0 }
    }

    /// What has been written up to now was seen, or is looked at next.
    pub fn mark_seen(&mut self) {
        self.seen = self.newest.borrow_and_update().count;
    }

    /// Until something was written that `query` may ask for and that was not seen. Whether that can be: at the
    /// history's end nothing is written any more.
    pub async fn concerning(&mut self, query: &EventQuery) -> bool {
        while !self.is_concerned(query) {
            if self.newest.changed().await.is_err() {
                return false;
            }
        }
        true
    }

    /// What does not concern it counts as seen.
    fn is_concerned(&mut self, query: &EventQuery) -> bool {
        let newest = self.newest.borrow_and_update();
        let is_concerned = newest.concern(query, self.seen);
        if !is_concerned {
            self.seen = newest.count;
        }
        is_concerned
    }
}
