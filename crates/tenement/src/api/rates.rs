//! Requests per second: every few seconds the totals are noted, for whoever asks within the next minute.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tenement_core::{name::InstanceName, route::RouteTable, time::Millis};

/// Over how long a rate is taken.
const WINDOW: Duration = Duration::from_secs(60);
/// Between two notes.
pub(super) const EVERY: Duration = Duration::from_secs(5);

/// What was noted of each instance.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<HashMap<InstanceName, Notes>>);

impl Rates {
    /// Notes the totals of all there are, and drops what was noted of others.
    pub(super) fn note(&self, now: Millis, routes: &RouteTable) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|name, _| routes.slot(name).is_some());
        for slot in routes.services().flat_map(|service| service.slots()) {
            let total = slot.traffic.requests();
            match all.get_mut(slot.name()) {
                Some(notes) => notes.add(now, total),
                None => drop(all.insert(slot.name().clone(), Notes(VecDeque::from([(now, total)])))),
            }
        }
    }

    /// Of an instance that has had `total` requests and is up for `uptime`.
    pub(super) fn per_second(&self, name: &InstanceName, now: Millis, total: u64, uptime: Duration) -> f64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = |window| all.get(name).map_or(0.0, |notes| notes.before(now, total, window, uptime));
        let window = uptime.min(WINDOW);
        if window.is_zero() {
            return 0.0;
        }
        (total as f64 - before(window)).max(0.0) / window.as_secs_f64()
    }
}

/// When, and the total then. Of moments between which nothing changed there are two.
#[derive(Debug)]
struct Notes(VecDeque<(Millis, u64)>);

impl Notes {
    fn add(&mut self, now: Millis, total: u64) {
        if self.0.back().is_some_and(|&(_, last)| last > total) {
            // A new instance of this name.
            self.0.clear();
        }
        if self.0.iter().rev().take(2).filter(|&&(_, last)| last == total).count() == 2 {
            self.0.pop_back();
        }
        self.0.push_back((now, total));
        while self.0.get(1).is_some_and(|&(at, _)| now.since(at) >= WINDOW) {
            self.0.pop_front();
        }
    }

    /// How many of `total` came before the last `window`.
    fn before(&self, now: Millis, total: u64, window: Duration, uptime: Duration) -> f64 {
        let next = self.0.partition_point(|&(at, _)| now.since(at) >= window);
        // Whoever was not there yet had none.
        let Some(&(from, had)) = next.checked_sub(1).and_then(|last| self.0.get(last)) else { return 0.0 };
        if window == uptime {
            // It was down in between, so all that came since then came in this life.
            return had as f64;
        }
        let &(to, has) = self.0.get(next).unwrap_or(&(now, total));
        let (span, part) =
            (to.since(from).as_secs_f64(), now.since(from).saturating_sub(window).as_secs_f64());
        if span > 0.0 { had as f64 + (has.saturating_sub(had)) as f64 * part / span } else { had as f64 }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tenement_core::{
        config::testing,
        slot::{Slot, StatusClass},
    };

    use super::*;

    struct Clock {
        rates: Rates,
        routes: RouteTable,
        slot: Arc<Slot>,
    }

    impl Clock {
        fn new() -> Self {
            let service = Arc::new(testing::service("api"));
            let slot = Arc::new(Slot::new("api:a".parse().unwrap(), Arc::clone(&service)));
            let mut routes = RouteTable::new("localhost");
            routes.set_service(service, [Arc::clone(&slot)]);
            Self { rates: Rates::default(), routes, slot }
        }

        fn requests(&self, count: u64) {
            (0..count).for_each(|_| self.slot.traffic.count(StatusClass::Success, 1, 0, 0));
        }

        fn note(&self, second: u64) {
            self.rates.note(Millis(second * 1000), &self.routes);
        }

        fn rate(&self, second: u64, uptime: u64) -> f64 {
            let total = self.slot.traffic.requests();
            let uptime = Duration::from_secs(uptime);
            self.rates.per_second(self.slot.name(), Millis(second * 1000), total, uptime)
        }
    }

    #[track_caller]
    fn same(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn a_rate_is_that_of_the_last_minute() {
        let clock = Clock::new();
        for second in (0..300).step_by(5) {
            clock.note(second);
            clock.requests(if second < 200 { 50 } else { 100 });
        }
        same(clock.rate(300, 300), 20.0);
        same(clock.rate(303, 303), (100.0 * 12.0 - 60.0) / 60.0);
        for second in (300..400).step_by(5) {
            clock.note(second);
        }
        same(clock.rate(400, 400), 0.0);
        let kept = clock.rates.0.lock().unwrap()[clock.slot.name()].0.len();
        assert!(kept <= 3, "{kept}");
    }

    #[test]
    fn a_shorter_life_counts_from_its_start() {
        let clock = Clock::new();
        clock.requests(12);
        same(clock.rate(1, 1), 12.0);
        clock.note(0);
        clock.note(5);
        clock.requests(6);
        same(clock.rate(8, 2), 3.0);
        same(clock.rate(8, 0), 0.0);
    }

    #[test]
    fn what_was_forgotten_is_not_noted_any_more() {
        let mut clock = Clock::new();
        clock.requests(9);
        clock.note(0);
        clock.slot = Arc::new(Slot::new(clock.slot.name().clone(), Arc::clone(&clock.slot.service())));
        clock.routes.set_service(Arc::clone(&clock.slot.service()), [Arc::clone(&clock.slot)]);
        clock.requests(2);
        same(clock.rate(1, 1), 0.0);
        clock.note(5);
        clock.routes.set_service(Arc::clone(&clock.slot.service()), []);
        clock.note(10);
        assert!(clock.rates.0.lock().unwrap().is_empty());
    }
}
