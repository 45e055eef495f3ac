//! Counters of log lines that never go back, though what is kept of an instance may be erased.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use tenement_core::name::{InstanceName, ServiceName};
use tenement_logs::{InstanceStats, Stats};

/// What was taken in since the daemon started, as far as it was looked at.
#[derive(Debug, Default)]
pub(crate) struct LogTotals(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    last: BTreeMap<InstanceName, Taken>,
    sums: BTreeMap<ServiceName, Taken>,
}

/// Lines and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) lines: u64,
    pub(super) bytes: u64,
    pub(super) dropped: u64,
    pub(super) left_out: u64,
    pub(super) write_errors: u64,
}

impl Taken {
    fn of(stats: &InstanceStats) -> Self {
        Self {
            lines: stats.lines_taken,
            bytes: stats.bytes_taken,
            dropped: stats.passed_over,
            left_out: stats.lines_left_out,
            write_errors: stats.write_errors,
        }
    }

    /// What came since `before`; all, if it began anew.
    fn since(self, before: Self) -> Self {
        if self.lines < before.lines || self.bytes < before.bytes {
            return self;
        }
        Self {
            lines: self.lines - before.lines,
            bytes: self.bytes - before.bytes,
            dropped: self.dropped.saturating_sub(before.dropped),
            left_out: self.left_out.saturating_sub(before.left_out),
            write_errors: self.write_errors.saturating_sub(before.write_errors),
        }
    }

    fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.bytes += other.bytes;
        self.dropped += other.dropped;
        self.left_out += other.left_out;
        self.write_errors += other.write_errors;
    }
}

impl LogTotals {
    /// Adds what came since the last look.
    pub(super) fn look(&self, stats: &Stats) -> BTreeMap<ServiceName, Taken> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { last, sums } = &mut *seen;
        last.retain(|name, _| stats.contains_key(name));
        for (name, stats) in stats {
            let now = Taken::of(stats);
            let new = now.since(last.insert(name.clone(), now).unwrap_or_default());
            match sums.get_mut(&name.service) {
                Some(sum) => sum.add(new),
                None => drop(sums.insert(name.service.clone(), new)),
            }
        }
        sums.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_erased_stays_counted() {
        let totals = LogTotals::default();
        let look = |all: &[(&str, u64)]| {
            let stats = all.iter().map(|(name, count)| {
                let stats = InstanceStats {
                    lines_taken: *count,
                    bytes_taken: 10 * count,
                    ..InstanceStats::default()
                };
                (name.parse().unwrap(), stats)
            });
            let sums = totals.look(&stats.collect());
            sums.get("api").map_or((0, 0), |sum| (sum.lines, sum.bytes))
        };
        assert_eq!(look(&[("api:a", 5), ("api:b", 1)]), (6, 60));
        assert_eq!(look(&[("api:a", 7), ("api:b", 1)]), (8, 80));
        assert_eq!(look(&[("api:b", 2)]), (9, 90));
        assert_eq!(look(&[("api:a", 1), ("api:b", 2)]), (10, 100), "known again");
        assert_eq!(look(&[("api:a", 1), ("api:b", 1)]), (11, 110), "erased and begun anew");
    }
}
