//! Counters of one instance's requests. Relaxed: each is a figure of its own, none orders another.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::time::Millis;

/// Upper bounds of the buckets of request duration, in milliseconds; one more bucket is above the last.
pub const DURATION_BUCKETS_MS: [u64; 11] = [1, 2, 5, 10, 25, 50, 100, 250, 1000, 5000, 30_000];

/// The class of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusClass {
    /// 100–199, a protocol switch included.
    Informational,
    /// 200–299.
    Success,
    /// 300–399.
    Redirection,
    /// 400–499.
    ClientError,
    /// 500 and above, those the proxy made included.
    ServerError,
}

impl StatusClass {
    /// All, in order.
    pub const ALL: [Self; 5] =
        [Self::Informational, Self::Success, Self::Redirection, Self::ClientError, Self::ServerError];

    /// The class of a status code.
    #[must_use]
    pub fn of(status: u16) -> Self {
        match status {
            0..=199 => Self::Informational,
            200..=299 => Self::Success,
            300..=399 => Self::Redirection,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }

    /// As a metric label: `2xx`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        ["1xx", "2xx", "3xx", "4xx", "5xx"][self as usize]
    }
}

/// What was counted on the way of one instance's requests.
#[derive(Debug, Default)]
pub struct Traffic {
    responses: [AtomicU64; 5],
    duration_buckets: [AtomicU64; DURATION_BUCKETS_MS.len() + 1],
    duration_sum_us: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    last_active_ms: AtomicU64,
}

impl Traffic {
    /// Counts one answered request.
    pub fn count(&self, class: StatusClass, duration_us: u64, bytes_in: u64, bytes_out: u64) {
        self.responses[class as usize].fetch_add(1, Relaxed);
        let ms = duration_us.div_ceil(1000);
        let bucket = DURATION_BUCKETS_MS.partition_point(|&bound| bound < ms);
        self.duration_buckets[bucket].fetch_add(1, Relaxed);
        self.duration_sum_us.fetch_add(duration_us, Relaxed);
        self.bytes_in.fetch_add(bytes_in, Relaxed);
        self.bytes_out.fetch_add(bytes_out, Relaxed);
    }

    /// Notes that something happened at `now`. Never moves back.
    pub fn touch(&self, now: Millis) {
        self.last_active_ms.fetch_max(now.0, Relaxed);
    }

    /// When something last happened.
    #[must_use]
    pub fn last_active(&self) -> Millis {
        Millis(self.last_active_ms.load(Relaxed))
    }

    /// Answers of one class.
    #[must_use]
    pub fn responses(&self, class: StatusClass) -> u64 {
        self.responses[class as usize].load(Relaxed)
    }

    /// All answers.
    #[must_use]
    pub fn requests(&self) -> u64 {
        StatusClass::ALL.iter().map(|&class| self.responses(class)).sum()
    }

    /// Counts per bucket of [`DURATION_BUCKETS_MS`], the open one last; not cumulative.
    #[must_use]
    pub fn duration_counts(&self) -> [u64; DURATION_BUCKETS_MS.len() + 1] {
        std::array::from_fn(|i| self.duration_buckets[i].load(Relaxed))
    }

    /// Sum of all durations, in microseconds.
    #[must_use]
    pub fn duration_sum_us(&self) -> u64 {
        self.duration_sum_us.load(Relaxed)
    }

    /// Bytes of request bodies and response bodies.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes_in.load(Relaxed), self.bytes_out.load(Relaxed))
    }
}
