//! Requests per second: every few seconds the totals are noted, for whoever asks within the next minute.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tenement_core::{name::InstanceName, route::RouteTable, time::Millis};

use super::notes::Notes;

/// Over how long a rate is taken.
const WINDOW: Duration = Duration::from_secs(60);
/// Between two notes.
pub(super) const EVERY: Duration = Duration::from_secs(5);

/// What was noted of each instance.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<HashMap<InstanceName, Notes<1>>>);

impl Rates {
    /// Notes the totals of all there are, and drops what was noted of others.
    pub(super) fn note(&self, now: Millis, routes: &RouteTable) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|name, _| routes.slot(name).is_some());
        for slot in routes.services().flat_map(|service| service.slots()) {
            let total = [slot.traffic.requests()];
            if let Some(notes) = all.get_mut(slot.name()) {
                notes.add(now, total, WINDOW);
                continue;
            }
            all.entry(slot.name().clone()).or_default().add(now, total, WINDOW);
        }
    }

    /// Of an instance that has had `total` requests and is up for `uptime`.
    pub(super) fn per_second(&self, name: &InstanceName, now: Millis, total: u64, uptime: Duration) -> f64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = uptime.min(WINDOW);
        if window.is_zero() {
            return 0.0;
        }
        let before = all.get(name).and_then(|notes| {
            if window == uptime {
                // It was down in between, so all that came since then came in this life.
                return notes.last_before(now, window).map(|[had]| had as f64);
            }
            notes.before(now, [total], window).map(|[had]| had)
        });
        // Whoever was not there yet had none.
        (total as f64 - before.unwrap_or(0.0)).max(0.0) / window.as_secs_f64()
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
        let kept = clock.rates.0.lock().unwrap()[clock.slot.name()].len();
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
