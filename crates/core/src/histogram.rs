//! Durations counted in buckets. Relaxed: each count is a figure of its own, none orders another.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// A histogram of durations with `N` buckets.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds_us: &'static [u64],
    buckets: [AtomicU64; N],
    sum_us: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    /// Empty. `bounds_us` are the upper bounds of all buckets but the last, which has none, in microseconds.
    ///
    /// # Panics
    /// When there are not `N - 1` bounds.
    #[must_use]
    pub const fn new(bounds_us: &'static [u64]) -> Self {
        assert!(bounds_us.len() + 1 == N, "a bound for every bucket but the last");
        Self { bounds_us, buckets: [const { AtomicU64::new(0) }; N], sum_us: AtomicU64::new(0) }
    }

    /// Counts one duration, in microseconds.
    pub fn observe_us(&self, us: u64) {
        let bucket = self.bounds_us.partition_point(|&bound| bound < us);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
    }

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        self.observe_us(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// What was counted until now.
    #[must_use]
    pub fn snapshot(&self) -> Distribution<N> {
        Distribution {
            counts: std::array::from_fn(|bucket| self.buckets[bucket].load(Relaxed)),
            sum_us: self.sum_us.load(Relaxed),
        }
    }
}

/// What a histogram has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distribution<const N: usize> {
    /// By bucket, not cumulative.
    pub counts: [u64; N],
    /// Of all durations, in microseconds.
    pub sum_us: u64,
}

impl<const N: usize> Default for Distribution<N> {
    fn default() -> Self {
        Self { counts: [0; N], sum_us: 0 }
    }
}

impl<const N: usize> Distribution<N> {
    /// Adds what another one has counted.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
        self.sum_us += other.sum_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        let histogram = Histogram::<3>::new(&[1000, 5000]);
        for us in [0, 1000, 1001, 5000, 5001] {
            histogram.observe_us(us);
        }
        histogram.observe(Duration::from_secs(1));
        let mut found = histogram.snapshot();
        assert_eq!((found.counts, found.sum_us), ([2, 2, 2], 1_012_002));
        found.add(&found.clone());
        assert_eq!(found.counts, [4, 4, 4]);
    }
}
