//! How many lines of which level there were, over time.
//!
//! Lines are counted in buckets of a fine grain, which becomes coarser as often as they reach further back; so it needs
//! the same memory however many there are, and each line is looked at once.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use tenement_core::time::WallMillis;
use tenement_runtime::clock;

use super::{Filter, LogQuery, QueryError, merge::InstanceTail, patiently};
use crate::{instance::Instance, level::Level};

/// The most buckets that anyone gets.
const MOST: usize = 1000;
/// Buckets while it is counted.
const COUNTED: usize = 4 * MOST;
/// Grains that people can read, in milliseconds. Each is a multiple of the one before.
const GRAINS: [u64; 23] = [
    1,
    5,
    10,
    50,
    100,
    500,
    1_000,
    5_000,
    10_000,
    30_000,
    60_000,
    300_000,
    600_000,
    1_800_000,
    3_600_000,
    10_800_000,
    21_600_000,
    43_200_000,
    86_400_000,
    864_000_000,
    8_640_000_000,
    86_400_000_000,
    864_000_000_000,
];

/// How fine it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// At most so many buckets, of a length people can read. More than 1000 are 1000.
    Buckets(usize),
    /// Buckets of this length.
    Interval(Duration),
}

/// Lines that arrived within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// When it begins.
    pub start: WallMillis,
    /// Lines by level, as in [`Level::ALL`].
    pub levels: [u64; 4],
}

impl Bucket {
    /// All its lines.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.levels.iter().sum()
    }
}

/// Lines over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Oldest first, empty ones included: from `since`, or from the oldest line where there is none, to `until`, or to
    /// now.
    pub buckets: Vec<Bucket>,
    /// How long each is, in milliseconds.
    pub interval: u64,
    /// All lines.
    pub total: u64,
    /// Parts of the log that can't be read; lines of them are missing.
    pub damaged: u64,
}

/// Counts lines.
#[derive(Clone)]
struct Counter {
    interval: u64,
    /// The interval is what was asked for.
    fixed: bool,
    /// By time over interval.
    counts: BTreeMap<u64, [u64; 4]>,
    damaged: u64,
}

impl Counter {
    fn add(&mut self, wall: WallMillis, level: Level) {
        self.counts.entry(wall.0 / self.interval).or_default()[level as usize] += 1;
        while !self.fixed && self.counts.len() > COUNTED && self.coarsen() {}
    }

    /// Takes the next grain, if there is one.
    fn coarsen(&mut self) -> bool {
        let Some(&next) = GRAINS.iter().find(|&&grain| grain > self.interval) else { return false };
        let times = next / self.interval;
        let mut counts: BTreeMap<u64, [u64; 4]> = BTreeMap::new();
        for (at, levels) in std::mem::take(&mut self.counts) {
            let sum = counts.entry(at / times).or_default();
            sum.iter_mut().zip(levels).for_each(|(sum, more)| *sum += more);
        }
        (self.interval, self.counts) = (next, counts);
        true
    }

    /// The first and the last bucket from `since` to `until`, and how many they are.
    fn span(&self, since: WallMillis, until: WallMillis) -> (u64, u64, u64) {
        let (first, last) = (since.0 / self.interval, until.0 / self.interval);
        (first, last, last.saturating_sub(first).saturating_add(1))
    }
}

/// Counts what `query` asks for in the `instances` it covers.
pub(crate) fn histogram(
    query: &LogQuery,
    grain: Grain,
    instances: impl Fn() -> Vec<Arc<Instance>>,
) -> Result<Histogram, QueryError> {
    let filter = Filter::new(query)?;
    let until = query.until.unwrap_or_else(clock::wall);
    let (interval, most) = match grain {
        Grain::Buckets(most) => (GRAINS[0], most.clamp(1, MOST) as u64),
        Grain::Interval(interval) => {
            (u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1), MOST as u64)
        }
    };
    let fixed = matches!(grain, Grain::Interval(_));
    let mut empty = Counter { interval, fixed, counts: BTreeMap::new(), damaged: 0 };
    if let Some(since) = query.since {
        fit(&mut empty, since, until, most)?;
    }
    let count = |lenient| {
        let mut counter = empty.clone();
        for instance in instances() {
            let mut tail = InstanceTail::new(&instance, &filter, lenient, u64::MAX)?;
            tail.each(&filter, &mut |wall, level| counter.add(wall, level))?;
            counter.damaged += tail.damaged();
            if counter.counts.len() > COUNTED {
                break;
            }
        }
        filter.check()?;
        io::Result::Ok(counter)
    };
    let mut counter = patiently(count)?;
    let at = |index: u64, counter: &Counter| WallMillis(index.saturating_mul(counter.interval));
    let (Some(oldest), Some(newest)) = (counter.counts.keys().next(), counter.counts.keys().next_back())
    else {
        let since = query.since.unwrap_or(until);
        return Ok(listed(&counter, since, until, query.since.is_some()));
    };
    let since = query.since.unwrap_or_else(|| at(*oldest, &counter));
    // A clock that was set back leaves lines from the future.
    let until = until.max(at(*newest, &counter));
    fit(&mut counter, since, until, most)?;
    Ok(listed(&counter, since, until, true))
}

/// Takes a grain by which it is not more than so many buckets.
fn fit(counter: &mut Counter, since: WallMillis, until: WallMillis, most: u64) -> Result<(), QueryError> {
    while counter.span(since, until).2 > most {
        if counter.fixed || !counter.coarsen() {
            return Err(QueryError::Buckets(MOST));
        }
    }
    Ok(())
}

fn listed(counter: &Counter, since: WallMillis, until: WallMillis, any: bool) -> Histogram {
    let (first, last, _) = counter.span(since, until);
    let bucket = |at: u64| Bucket {
        start: WallMillis(at.saturating_mul(counter.interval)),
        levels: counter.counts.get(&at).copied().unwrap_or_default(),
    };
    let buckets: Vec<Bucket> = if any { (first..=last).map(bucket).collect() } else { Vec::new() };
    let total = buckets.iter().map(Bucket::total).sum();
    Histogram { buckets, interval: counter.interval, total, damaged: counter.damaged }
}

#[cfg(test)]
mod tests;
