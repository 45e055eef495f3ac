//! What is known of an instance over an interval, and of several intervals together.

use tenement_core::slot::DURATION_BUCKETS_US;

/// As many buckets as a histogram of durations has.
pub(super) const BUCKETS: usize = DURATION_BUCKETS_US.len() + 1;

/// What an instance used and served in one interval. Nothing is known of intervals in which it had no process and no
/// request: of these there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When its interval began, in seconds since the Unix epoch: a multiple of the interval's length.
    pub at: u32,
    /// For how long that was measured, in tenths of a second; less than the interval while it goes on.
    pub span: u16,
    /// Answers.
    pub requests: u32,
    /// Those of them with a status of 500 or above.
    pub errors: u32,
    /// Of its process tree, in KiB; nothing if it had none when it was looked at.
    pub memory: Option<u64>,
    /// Processor time in tenths of a percent of one core; nothing if it had no process, or for how long is not known.
    pub cpu: Option<u64>,
    /// The time half of the answers took at most, in microseconds, estimated within a bucket of a histogram; nothing
    /// without an answer.
    pub p50: Option<u64>,
    /// The same of 95 %.
    pub p95: Option<u64>,
}

impl Sample {
    /// Over the time that was measured.
    #[must_use]
    pub fn requests_per_second(&self) -> f64 {
        f64::from(self.requests) * 10.0 / f64::from(self.span.max(1))
    }

    /// Over the time that was measured.
    #[must_use]
    pub fn errors_per_second(&self) -> f64 {
        f64::from(self.errors) * 10.0 / f64::from(self.span.max(1))
    }

    /// In MiB.
    #[must_use]
    pub fn memory_mb(&self) -> Option<f64> {
        self.memory.map(|kib| kib as f64 / 1024.0)
    }

    /// Of one core.
    #[must_use]
    pub fn cpu_percent(&self) -> Option<f64> {
        self.cpu.map(|tenths| tenths as f64 / 10.0)
    }

    /// One sample of the interval that begins at `at`, from those of its parts. Memory and processor time are averages
    /// over the time measured. What p50 and p95 of all requests were can't be known from those of the parts; taken is the
    /// value that half, or 95 %, of the requests have a p50, or p95, of at most. That is exact where parts are alike.
    pub(super) fn of_parts(at: u32, parts: &[Self]) -> Option<Self> {
        if parts.is_empty() {
            return None;
        }
        let sum = |of: fn(&Self) -> u32| parts.iter().map(of).fold(0, u32::saturating_add);
        let mean = |of: fn(&Self) -> Option<u64>| {
            weighted(parts, |part| Some((of(part)?, u64::from(part.span.max(1))))).mean()
        };
        let quantile = |of: fn(&Self) -> Option<u64>, share| {
            weighted(parts, |part| Some((of(part)?, u64::from(part.requests.max(1))))).quantile(share)
        };
        Some(Self {
            at,
            span: parts.iter().map(|part| part.span).fold(0, u16::saturating_add),
            requests: sum(|part| part.requests),
            errors: sum(|part| part.errors),
            memory: mean(|part| part.memory),
            cpu: mean(|part| part.cpu),
            p50: quantile(|part| part.p50, 0.5),
            p95: quantile(|part| part.p95, 0.95),
        })
    }
}

/// Values with their weights.
struct Weighted(Vec<(u64, u64)>);

fn weighted(parts: &[Sample], of: impl Fn(&Sample) -> Option<(u64, u64)>) -> Weighted {
    Weighted(parts.iter().filter_map(of).collect())
}

impl Weighted {
    fn total(&self) -> f64 {
        self.0.iter().map(|&(_, weight)| weight as f64).sum()
    }

    fn mean(&self) -> Option<u64> {
        let sum: f64 = self.0.iter().map(|&(value, weight)| value as f64 * weight as f64).sum();
        (!self.0.is_empty()).then(|| (sum / self.total()).round() as u64)
    }

    fn quantile(mut self, share: f64) -> Option<u64> {
        self.0.sort_unstable();
        let rank = self.total() * share;
        let mut weight_so_far = 0.0;
        let reaches = |&&(_, weight): &&(u64, u64)| {
            weight_so_far += weight as f64;
            weight_so_far >= rank
        };
        self.0.iter().find(reaches).or(self.0.last()).map(|&(value, _)| value)
    }
}

/// The duration that `share` of what was counted has at most, in microseconds: within its bucket as if all were spread
/// evenly there. What is above the last bound is taken for that bound.
pub(super) fn quantile(counts: &[u64; BUCKETS], share: f64) -> Option<u64> {
    let total: u64 = counts.iter().sum();
    let rank = total as f64 * share;
    let mut below = 0;
    for (bucket, &count) in counts.iter().enumerate().filter(|&(_, &count)| count > 0) {
        if (below + count) as f64 >= rank {
            let lower = bucket.checked_sub(1).map_or(0, |last| DURATION_BUCKETS_US[last]);
            let Some(&upper) = DURATION_BUCKETS_US.get(bucket) else { return Some(lower) };
            let within = (rank - below as f64) / count as f64;
            return Some((lower as f64 + (upper - lower) as f64 * within).round() as u64);
        }
        below += count;
    }
    None
}

#[cfg(test)]
mod tests {
    use tenement_core::slot::{StatusClass, Traffic};

    use super::*;

    fn of(durations_us: &[u64]) -> [u64; BUCKETS] {
        let traffic = Traffic::default();
        durations_us.iter().for_each(|&us| traffic.count(StatusClass::Success, us, 0, 0));
        traffic.tally().durations.counts
    }

    #[test]
    fn a_quantile_lies_in_its_bucket() {
        assert_eq!(quantile(&of(&[]), 0.5), None);
        assert_eq!(quantile(&of(&[500; 10]), 0.5), Some(500), "half way up to 1 ms");
        assert_eq!(quantile(&of(&[3000; 10]), 0.95), Some(4850), "between 2 and 5 ms");
        assert_eq!(quantile(&of(&[u64::MAX / 4]), 0.5), Some(30_000_000), "not known how long");
        let mixed = of(&[[100; 90].as_slice(), &[40_000; 10]].concat());
        assert_eq!((quantile(&mixed, 0.5), quantile(&mixed, 0.95)), (Some(556), Some(37_500)));
    }

    #[test]
    fn a_quantile_never_leaves_the_bucket_that_has_it() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2000 {
            let mut all: Vec<u64> =
                (0..random.usize(1..50)).map(|_| random.u64(1..40_000_000) >> random.u32(0..20)).collect();
            all.sort_unstable();
            for share in [0.5, 0.95] {
                let exact = all[((all.len() as f64 * share).ceil() as usize).max(1) - 1];
                let bucket = DURATION_BUCKETS_US.partition_point(|&bound| bound < exact);
                let lower = if bucket == 0 { 0 } else { DURATION_BUCKETS_US[bucket - 1] };
                let upper = DURATION_BUCKETS_US.get(bucket).copied().unwrap_or(lower);
                let found = quantile(&of(&all), share).unwrap();
                assert!((lower..=upper).contains(&found), "{found} for {exact} of {all:?}");
            }
        }
    }

    #[test]
    fn parts_make_a_whole() {
        let part = |requests, memory, p50| Sample {
            span: 100,
            requests,
            errors: requests / 10,
            memory,
            cpu: memory.map(|kib| kib / 10),
            p50,
            p95: p50.map(|us| us * 2),
            ..Sample::default()
        };
        assert_eq!(Sample::of_parts(300, &[]), None);
        let one = part(7, Some(1000), Some(50));
        assert_eq!(Sample::of_parts(300, &[one]), Some(Sample { at: 300, ..one }));
        let parts = [part(100, Some(1000), Some(400)), part(1, Some(3000), Some(9000)), part(0, None, None)];
        let whole = Sample::of_parts(300, &parts).unwrap();
        assert_eq!((whole.span, whole.requests, whole.errors), (300, 101, 10));
        assert_eq!((whole.memory, whole.cpu), (Some(2000), Some(200)), "not of the part without a process");
        assert_eq!((whole.p50, whole.p95), (Some(400), Some(800)), "one slow request of 101 is not p95");
        assert!((whole.requests_per_second() - 101.0 / 30.0).abs() < 1e-9);
    }
}
