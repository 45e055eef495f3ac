//! Counters of one instance's requests. Relaxed: each is a figure of its own, none orders another.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{
    histogram::{Distribution, Histogram},
    time::Millis,
};

/// Upper bounds of the buckets of request duration, in microseconds; one more bucket is above the last.
pub const DURATION_BUCKETS_US: [u64; 11] =
    [1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000, 30_000_000];

/// As many buckets as there are.
const BUCKETS: usize = DURATION_BUCKETS_US.len() + 1;

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
#[derive(Debug)]
pub struct Traffic {
    responses: [AtomicU64; 5],
    durations: Histogram<BUCKETS>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    cut_off: AtomicU64,
    last_active_ms: AtomicU64,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            responses: Default::default(),
            durations: Histogram::new(&DURATION_BUCKETS_US),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            cut_off: AtomicU64::new(0),
            last_active_ms: AtomicU64::new(0),
        }
    }
}

impl Traffic {
    /// Counts one answered request.
    pub fn count(&self, class: StatusClass, duration_us: u64, bytes_in: u64, bytes_out: u64) {
        self.responses[class as usize].fetch_add(1, Relaxed);
        self.durations.observe_us(duration_us);
        self.bytes_in.fetch_add(bytes_in, Relaxed);
        self.bytes_out.fetch_add(bytes_out, Relaxed);
    }

    /// Counts one WebSocket that ended with its application.
    pub fn count_cut_off(&self) {
        self.cut_off.fetch_add(1, Relaxed);
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

    /// Bytes of request bodies and response bodies.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes_in.load(Relaxed), self.bytes_out.load(Relaxed))
    }

    /// Everything that was counted, at once.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally {
            responses: StatusClass::ALL.map(|class| self.responses(class)),
            durations: self.durations.snapshot(),
            bytes_in: self.bytes().0,
            bytes_out: self.bytes().1,
            cut_off: self.cut_off.load(Relaxed),
        }
    }
}

/// What was counted of requests: of one instance, or of many together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers by class, as [`StatusClass::ALL`].
    pub responses: [u64; 5],
    /// From the head of a request to the end of its answer, by [`DURATION_BUCKETS_US`].
    pub durations: Distribution<BUCKETS>,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
    /// WebSockets that ended with their application, without a close frame.
    pub cut_off: u64,
}

impl Tally {
    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.responses.iter_mut().zip(other.responses) {
            *sum += count;
        }
        self.durations.add(&other.durations);
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.cut_off += other.cut_off;
    }
}
