//! How often: requests of a token, and failures of an address. Fixed windows, aligned to the epoch's minutes and
//! hours.
//!
//! Memory is bounded: there are as many counters of requests as tokens were used in the hour, and as many of failures as
//! there are [`CELLS`], however many addresses somebody makes up. Two addresses may share a cell; all that can come of it
//! is that a wrong token is answered with 429 instead of 401.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use axum::http::HeaderName;
use tenement_core::time::WallMillis;

/// Seconds of a window, and requests that are let through in one.
const WINDOWS: [(u64, u64); 2] = [(60, 1000), (3600, 10_000)];
/// Of all that one token let in by links, so many times as much: that is theirs, and takes nothing from the token.
const TOGETHER: u64 = 10;
/// Wrong tokens that an address may send in a minute.
const FAILURES: u64 = 100;
/// Counters of failures: 512 KiB.
const CELLS: usize = 1 << 16;
/// Bits of a cell that count; the others say in which minute.
const COUNT_BITS: u32 = 16;

/// A window as the client is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    limit: u64,
    remaining: u64,
    /// When the next one begins, in seconds since the epoch.
    reset: u64,
    now: u64,
    of: Of,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// A token, or an address.
    One,
    /// All that one token let in by links.
    Sessions,
}

impl Window {
    fn new((seconds, limit): (u64, u64), used: u64, now: u64, of: Of) -> Self {
        let reset = (now / seconds + 1) * seconds;
        Self { limit, remaining: limit.saturating_sub(used), reset, now, of }
    }

    pub(super) fn of(&self) -> Of {
        self.of
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Seconds until it is worth trying again.
    pub(super) fn retry_after(&self) -> u64 {
        self.reset - self.now
    }

    /// `X-RateLimit-*`.
    pub(super) fn headers(&self) -> [(HeaderName, u64); 3] {
        [
            (HeaderName::from_static("x-ratelimit-limit"), self.limit),
            (HeaderName::from_static("x-ratelimit-remaining"), self.remaining),
            (HeaderName::from_static("x-ratelimit-reset"), self.reset),
        ]
    }
}

/// The requests of one hour. At its end all windows are.
#[derive(Debug, Default)]
struct Requests {
    hour: u64,
    tokens: HashMap<String, Used>,
    /// By the id of the token that let them in.
    sessions: HashMap<String, Used>,
}

/// How many in the minute of this number, and how many in the hour.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    minute: (u64, u64),
    hour: u64,
}

impl Used {
    /// The window that has less left; the first of equals.
    fn tightest(&mut self, now: u64, of: Of) -> Window {
        let number = now / WINDOWS[0].0;
        if self.minute.0 != number {
            self.minute = (number, 0);
        }
        let times = if of == Of::Sessions { TOGETHER } else { 1 };
        let window =
            |(seconds, limit): (u64, u64), used| Window::new((seconds, limit * times), used, now, of);
        let (minute, hour) = (window(WINDOWS[0], self.minute.1), window(WINDOWS[1], self.hour));
        if hour.remaining < minute.remaining { hour } else { minute }
    }
}

/// Counts.
#[derive(Debug)]
pub struct Limits {
    requests: Mutex<Requests>,
    failures: Box<[AtomicU64]>,
    /// Keyed, so that nobody can choose addresses that share a cell.
    hasher: RandomState,
    refused: AtomicU64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: Mutex::default(),
            failures: (0..CELLS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            refused: AtomicU64::new(0),
        }
    }
}

impl Limits {
    /// Counts a request of a token, unless it is one too many. `root`: the token that this goes back to. The window is the
    /// one that has least left.
    pub(super) fn count(&self, id: &str, root: &str, now: WallMillis) -> Result<Window, Window> {
        let now = now.0 / 1000;
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.hour != now / WINDOWS[1].0 {
            *requests = Requests { hour: now / WINDOWS[1].0, ..Requests::default() };
        }
        let Requests { tokens, sessions, .. } = &mut *requests;
        let own = tokens.entry(id.to_owned()).or_default();
        let mut sum = (root != id).then(|| sessions.entry(root.to_owned()).or_default());
        let mut tightest = |more: u64| {
            let left = |used: &mut Used, of| {
                used.minute.1 += more;
                used.hour += more;
                used.tightest(now, of)
            };
            let own = left(own, Of::One);
            let sum = sum.as_deref_mut().map(|sum| left(sum, Of::Sessions));
            sum.filter(|sum| sum.remaining < own.remaining).unwrap_or(own)
        };
        let before = tightest(0);
        if before.remaining == 0 {
            self.refused.fetch_add(1, Relaxed);
            return Err(before);
        }
        Ok(tightest(1))
    }

    /// Counts a wrong token, unless it is one too many.
    pub(super) fn failed(&self, source: IpAddr, now: WallMillis) -> Result<(), Window> {
        let now = now.0 / 1000;
        let minute = (now / WINDOWS[0].0) << COUNT_BITS;
        let cell = &self.failures[self.hasher.hash_one(network(source)) as usize % CELLS];
        let mut last = cell.load(Relaxed);
        loop {
            let count = if last >> COUNT_BITS << COUNT_BITS == minute { last - minute } else { 0 };
            if count >= FAILURES {
                self.refused.fetch_add(1, Relaxed);
                return Err(Window::new((WINDOWS[0].0, FAILURES), count, now, Of::One));
            }
            match cell.compare_exchange_weak(last, minute | (count + 1), Relaxed, Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => last = other,
            }
        }
    }

    /// Requests that were answered with 429.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
}

/// Whoever has one IPv6 address has its /64.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> WallMillis {
        WallMillis(seconds * 1000)
    }

    #[test]
    fn windows_are_aligned_and_the_tighter_one_is_told() {
        let limits = Limits::default();
        let start = 1_704_976_800;
        let first = limits.count("a", "a", at(start)).unwrap();
        assert_eq!((first.limit, first.remaining, first.reset), (1000, 999, start + 60));
        for left in (0..999).rev() {
            assert_eq!(limits.count("a", "a", at(start + 59)).unwrap().remaining, left);
        }
        let refused = limits.count("a", "a", at(start + 59)).unwrap_err();
        assert_eq!((refused.remaining, refused.retry_after()), (0, 1));
        assert_eq!(limits.count("b", "b", at(start + 59)).unwrap().remaining, 999, "another token");
        for minute in 1..10 {
            for _ in 0..1000 {
                limits.count("a", "a", at(start + 60 * minute)).unwrap();
            }
        }
        let refused = limits.count("a", "a", at(start + 600)).unwrap_err();
        assert_eq!((refused.limit, refused.retry_after()), (10_000, 3600 - start % 3600 - 600));
        assert_eq!(limits.count("a", "a", at(start + 3600)).unwrap().limit, 1000);
    }

    #[test]
    fn who_was_let_in_has_limits_of_its_own_and_some_with_others() {
        let limits = Limits::default();
        for session in 0..12 {
            let id = session.to_string();
            let passed = (0..=1000).filter(|_| limits.count(&id, "maker", at(60)).is_ok()).count();
            assert_eq!(passed, if session < 10 { 1000 } else { 0 }, "session {session}");
        }
        let refused = limits.count("late", "maker", at(60)).unwrap_err();
        assert_eq!((refused.limit, refused.of), (10_000, Of::Sessions));
        assert_eq!(limits.count("maker", "maker", at(60)).unwrap().remaining, 999);
        assert_eq!(limits.count("late", "maker", at(120)).unwrap().limit, 1000);
    }

    #[test]
    fn what_the_sum_refuses_counts_for_nobody_and_of_both_the_tighter_is_told() {
        let limits = Limits::default();
        let minute = |minute: u64| at(3600 + 60 * minute);
        for session in 0..10 {
            for count in 1..=if session == 9 { 500 } else { 1000 } {
                let left = limits.count(&session.to_string(), "maker", minute(0)).unwrap();
                assert_eq!((left.limit, left.remaining), (1000, 1000 - count));
            }
        }
        let left = limits.count("late", "maker", minute(0)).unwrap();
        assert_eq!((left.limit, left.remaining), (10_000, 499), "the sum has less left");
        for _ in 0..499 {
            limits.count("other", "maker", minute(0)).unwrap();
        }
        for _ in 0..5000 {
            limits.count("late", "maker", minute(0)).unwrap_err();
        }
        for of in 1..=10 {
            for _ in 0..if of == 10 { 999 } else { 1000 } {
                limits.count("late", "maker", minute(of)).unwrap();
            }
        }
        let refused = limits.count("late", "maker", minute(10)).unwrap_err();
        assert_eq!((refused.limit, refused.of), (10_000, Of::One), "its own hour");
    }

    // faults: A3
    #[test]
    fn failures_are_counted_by_address_in_bounded_memory() {
        let limits = Limits::default();
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..FAILURES {
            limits.failed(one, at(60)).unwrap();
        }
        assert_eq!(limits.failed(one, at(61)).unwrap_err().retry_after(), 59);
        assert!(limits.failed(one, at(120)).is_ok(), "the next minute");
        let v6 = |host: u128| IpAddr::V6(((0x2001_0db8 << 96) | host).into());
        for host in 0..u128::from(FAILURES) {
            limits.failed(v6(host), at(60)).unwrap();
        }
        assert!(limits.failed(v6(1 << 60), at(60)).is_err(), "the same network");
        for address in 0..1_000_000_u32 {
            let _ = limits.failed(IpAddr::V4(address.into()), at(180));
        }
        assert_eq!(limits.failures.len(), CELLS);
        assert!(limits.requests.lock().unwrap().tokens.is_empty());
    }
}
