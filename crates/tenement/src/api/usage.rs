//! What instances use: memory now, processor time between two looks.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tenement_core::{name::InstanceName, route::RouteTable, time::Millis, view::InstanceView};
use tenement_runtime::{clock, process::Usage};
use tokio::time::MissedTickBehavior;

use super::{
    Api,
    count::Answered,
    instances::mebibytes,
    rates::{self, Rates},
};
use crate::metrics::LogTotals;

/// Between two looks. Processor time is counted in ticks of 10 ms, so a share of less than this would be noise.
const WINDOW_MIN: Duration = Duration::from_secs(1);

/// The last look at each instance. It is shared: whoever looks begins the window of the next one.
#[derive(Debug, Default)]
pub struct Samples {
    cpu: Mutex<BTreeMap<InstanceName, Sample>>,
    rates: Rates,
    /// What the API answered.
    pub(crate) answered: Answered,
    /// What instances printed.
    pub(crate) logs: LogTotals,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    cpu_time: Duration,
    percent: f64,
}

/// What one instance uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Used {
    /// MiB of its whole process tree.
    pub(super) memory_mb: f64,
    /// Of one core.
    pub(super) cpu_percent: f64,
}

/// Looks at those of `views` that run, and at no others.
pub(super) async fn look(api: &Api, views: &[InstanceView]) -> BTreeMap<InstanceName, Used> {
    let used = api.supervisor.usage_of(views.iter().map(|view| view.name.clone()).collect()).await;
    let uptimes: BTreeMap<_, _> =
        views.iter().map(|view| (&view.name, Duration::from_millis(view.uptime_ms))).collect();
    let uptime_of = |name: &InstanceName| uptimes.get(name).copied().unwrap_or_default();
    let percent = api.samples.percent(clock::instant(), &used, uptime_of);
    let both = percent.into_iter().map(|(name, cpu_percent)| {
        let memory_mb = mebibytes(used.get(&name).map_or(0, |used| used.memory_bytes));
        (name, Used { memory_mb, cpu_percent })
    });
    both.collect()
}

impl Samples {
    /// The share of one core in percent that each instance took since the last look, or since its start at the
    /// first. `uptime_of` is the time since an instance became ready.
    pub(super) fn percent(
        &self,
        now: Instant,
        used: &BTreeMap<InstanceName, Usage>,
        uptime_of: impl Fn(&InstanceName) -> Duration,
    ) -> BTreeMap<InstanceName, f64> {
        let mut samples = self.cpu.lock().unwrap_or_else(PoisonError::into_inner);
        let look = |(name, used): (&InstanceName, &Usage)| {
            let uptime = uptime_of(name);
            let last = samples.get(name).filter(|last| now.saturating_duration_since(last.at) <= uptime);
            let next = last.and_then(|last| last.next(now, used.cpu_time));
            let sample = next.unwrap_or_else(|| Sample::first(now, used.cpu_time, uptime));
            samples.insert(name.clone(), sample);
            (name.clone(), sample.percent)
        };
        used.iter().map(look).collect()
    }

    /// Requests per second of an instance that has had `total` of them and is up for `uptime`.
    pub(super) fn per_second(&self, name: &InstanceName, now: Millis, total: u64, uptime: Duration) -> f64 {
        self.rates.per_second(name, now, total, uptime)
    }

    /// Notes how many requests there were, and forgets whoever is gone.
    fn note(&self, now: Millis, routes: &RouteTable) {
        let mut samples = self.cpu.lock().unwrap_or_else(PoisonError::into_inner);
        samples.retain(|name, _| routes.slot(name).is_some());
        drop(samples);
        self.rates.note(now, routes);
    }
}

/// Keeps the samples up to date for as long as it is polled.
pub async fn sample(api: Api) {
    let mut ticks = tokio::time::interval(rates::EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        api.samples.note(clock::now(), &api.supervisor.routes().load());
    }
}

impl Sample {
    /// What an app did to become ready comes before its uptime; at first it would look like a storm.
    fn first(at: Instant, cpu_time: Duration, uptime: Duration) -> Self {
        Self { at, cpu_time, percent: share(cpu_time, uptime.max(WINDOW_MIN)) }
    }

    /// Nothing if this is another process than the last time.
    fn next(self, at: Instant, cpu_time: Duration) -> Option<Self> {
        let window = at.saturating_duration_since(self.at);
        let spent = cpu_time.checked_sub(self.cpu_time)?;
        if window < WINDOW_MIN {
            return Some(self);
        }
        Some(Self { at, cpu_time, percent: share(spent, window) })
    }
}

/// In percent with one decimal.
fn share(part: Duration, whole: Duration) -> f64 {
    (part.as_secs_f64() / whole.as_secs_f64() * 1000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_share_is_that_since_the_last_look() {
        let name: InstanceName = "api:a".parse().unwrap();
        let samples = Samples::default();
        let start = tenement_runtime::clock::instant();
        let look = |seconds: f64, cpu_ms: u64| {
            let used = Usage { cpu_time: Duration::from_millis(cpu_ms), ..Usage::default() };
            let now = start + SECOND.mul_f64(seconds);
            samples.percent(now, &BTreeMap::from([(name.clone(), used)]), |_| 10 * SECOND)[&name]
        };
        assert!((look(0.0, 500) - 5.0).abs() < 1e-9, "since its start");
        assert!((look(2.0, 1500) - 50.0).abs() < 1e-9);
        assert!((look(2.5, 2000) - 50.0).abs() < 1e-9, "too soon to say anything new");
        assert!((look(4.0, 5500) - 200.0).abs() < 1e-9, "two cores, since the look before that");
        assert!((look(6.0, 100) - 1.0).abs() < 1e-9, "another process");
        let used = Usage { cpu_time: Duration::from_millis(200), ..Usage::default() };
        let used = BTreeMap::from([(name.clone(), used)]);
        let woken = samples.percent(start + 20 * SECOND, &used, |_| 10 * SECOND)[&name];
        assert!((woken - 2.0).abs() < 1e-9, "asleep in between");
        samples.note(Millis(0), &RouteTable::new("localhost"));
        assert!(samples.cpu.lock().unwrap().is_empty());
    }

    #[test]
    fn the_work_of_a_start_does_not_look_like_a_storm() {
        let sample = Sample::first(
            tenement_runtime::clock::instant(),
            Duration::from_millis(40),
            Duration::from_millis(6),
        );
        assert!((sample.percent - 4.0).abs() < 1e-9);
    }
}
