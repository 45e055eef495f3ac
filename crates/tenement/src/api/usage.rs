//! What instances use: memory now, processor time between two looks.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tenement_core::name::InstanceName;
use tenement_runtime::process::Usage;

/// Between two looks. Processor time is counted in ticks of 10 ms, so a share of less than this would be noise.
const WINDOW_MIN: Duration = Duration::from_secs(1);

/// The last look at each instance. It is shared: whoever looks begins the window of the next one.
#[derive(Debug, Default)]
pub struct Samples(Mutex<BTreeMap<InstanceName, Sample>>);

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    cpu_time: Duration,
    percent: f64,
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
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.retain(|name, _| used.contains_key(name));
        let look = |(name, used): (&InstanceName, &Usage)| {
            let next = samples.get(name).and_then(|last| last.next(now, used.cpu_time));
            let sample = next.unwrap_or_else(|| Sample::first(now, used.cpu_time, uptime_of(name)));
            samples.insert(name.clone(), sample);
            (name.clone(), sample.percent)
        };
        used.iter().map(look).collect()
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
        samples.percent(start, &BTreeMap::new(), |_| SECOND);
        assert!((look(7.0, 200) - 2.0).abs() < 1e-9, "asleep in between");
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
