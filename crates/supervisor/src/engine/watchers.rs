//! Who follows what instances are, and what they were not told yet: see [`Watch`](crate::Watch).

use std::{collections::BTreeSet, sync::Weak};

use tenement_core::{name::InstanceName, view::InstanceView};
use tenement_runtime::clock;
use tokio::sync::Notify;

use super::{Engine, entry::Entry};
use crate::watch::Changed;

/// All who follow.
#[derive(Default)]
pub(super) struct Watchers {
    all: Vec<Watcher>,
    /// How many there ever were.
    numbered: u64,
}

struct Watcher {
    number: u64,
    /// Gone with the one who follows.
    bell: Weak<Notify>,
    changed: BTreeSet<InstanceName>,
}

impl Watchers {
    fn add(&mut self, bell: Weak<Notify>) -> u64 {
        // Those who are gone are let go here too: nothing may ever be noted.
        self.all.retain(|watcher| watcher.bell.strong_count() > 0);
        self.numbered += 1;
        self.all.push(Watcher { number: self.numbered, bell, changed: BTreeSet::new() });
        self.numbered
    }

    /// Notes that something of an instance changed, or that it came or went.
    pub(super) fn note(&mut self, name: &InstanceName) {
        self.all.retain_mut(|watcher| watcher.note(name));
    }

    fn take(&mut self, number: u64) -> BTreeSet<InstanceName> {
        let watcher = self.all.iter_mut().find(|watcher| watcher.number == number);
        watcher.map(|watcher| std::mem::take(&mut watcher.changed)).unwrap_or_default()
    }
}

impl Watcher {
    /// Whether somebody still follows.
    fn note(&mut self, name: &InstanceName) -> bool {
        let Some(bell) = self.bell.upgrade() else { return false };
        if self.changed.is_empty() {
            bell.notify_one();
        }
        if !self.changed.contains(name) {
            self.changed.insert(name.clone());
        }
        true
    }
}

impl Engine {
    pub(super) fn views(&self) -> Vec<InstanceView> {
        let now = clock::now();
        self.entries.values().filter(|entry| entry.known).map(|entry| entry.view(now)).collect()
    }

    pub(super) fn watch(&mut self, bell: Weak<Notify>) -> (u64, Vec<InstanceView>) {
        let now = clock::now();
        let shown = self.entries.values().filter(|entry| is_shown(entry));
        let views = shown.map(|entry| entry.view(now)).collect();
        (self.watchers.add(bell), views)
    }

    pub(super) fn changed(&mut self, number: u64) -> Vec<Changed> {
        let now = clock::now();
        let view = |name: InstanceName| {
            let entry = self.entries.get(&name).filter(|entry| is_shown(entry));
            let view = entry.map(|entry: &Entry| entry.view(now));
            (name, view)
        };
        self.watchers.take(number).into_iter().map(view).collect()
    }
}

/// Of one that is being erased nothing is left to show to who follows.
fn is_shown(entry: &Entry) -> bool {
    entry.known && !entry.life.is_forgotten()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn who_follows_is_rung_once_and_has_each_name_once() {
        let mut watchers = Watchers::default();
        let (first, second) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let numbers = [&first, &second].map(|bell| watchers.add(Arc::downgrade(bell)));
        let names: [InstanceName; 2] = ["a:x", "a:y"].map(|name| name.parse().unwrap());
        for name in [0, 1, 0, 0] {
            watchers.note(&names[name]);
        }
        first.notified().await;
        let rung = tokio::time::timeout(std::time::Duration::ZERO, first.notified()).await;
        assert!(rung.is_err(), "once");
        assert!(watchers.take(numbers[0]).into_iter().eq(names.clone()));
        assert!(watchers.take(numbers[0]).is_empty());
        watchers.note(&names[1]);
        first.notified().await;
        drop(second);
        watchers.note(&names[1]);
        assert_eq!(
            (watchers.all.len(), watchers.take(numbers[1]).len()),
            (1, 0),
            "nothing is noted for nobody"
        );
        assert_eq!(watchers.take(numbers[0]).len(), 1);
    }

    #[test]
    fn who_is_gone_is_let_go_though_nothing_happens() {
        let mut watchers = Watchers::default();
        let stays = Arc::new(Notify::new());
        let number = watchers.add(Arc::downgrade(&stays));
        for _ in 0..100 {
            watchers.add(Arc::downgrade(&Arc::new(Notify::new())));
        }
        assert!(watchers.all.len() <= 2, "{}", watchers.all.len());
        watchers.note(&"a:x".parse().unwrap());
        assert_eq!(watchers.take(number).len(), 1, "the one who stays hears of it");
    }
}
