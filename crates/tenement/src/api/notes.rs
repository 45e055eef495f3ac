//! Totals as they were over the last seconds: what came before a window of time, and so what came within it.

use std::{collections::VecDeque, time::Duration};

use tenement_core::time::Millis;

/// When, and the totals then. Of moments between which nothing changed there are two: so it is known when that ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes<const N: usize>(VecDeque<(Millis, [u64; N])>);

impl<const N: usize> Notes<N> {
    /// Notes what the totals are now, and drops what is not needed to look back for `window`. Whether it began anew, as
    /// the first total is less than it was.
    pub(super) fn add(&mut self, now: Millis, totals: [u64; N], window: Duration) -> bool {
        let is_another = self.0.back().is_some_and(|(_, last)| last.first() > totals.first());
        if is_another {
            self.0.clear();
        }
        if self.0.iter().rev().take(2).filter(|(_, last)| *last == totals).count() == 2 {
            self.0.pop_back();
        }
        self.0.push_back((now, totals));
        while self.0.get(1).is_some_and(|&(at, _)| now.since(at) >= window) {
            self.0.pop_front();
        }
        is_another
    }

    /// What was noted last that is at least `window` before `now`.
    pub(super) fn last_before(&self, now: Millis, window: Duration) -> Option<[u64; N]> {
        self.0.get(self.next(now, window).checked_sub(1)?).map(|&(_, totals)| totals)
    }

    /// What the totals were `window` before `now`, when they are `totals`: as if all had come evenly between two notes.
    /// `None`: nothing was noted then.
    pub(super) fn before(&self, now: Millis, totals: [u64; N], window: Duration) -> Option<[f64; N]> {
        let next = self.next(now, window);
        let &(from, had) = self.0.get(next.checked_sub(1)?)?;
        let &(to, has) = self.0.get(next).unwrap_or(&(now, totals));
        let span = to.since(from).as_secs_f64();
        let part = now.since(from).saturating_sub(window).as_secs_f64();
        let part = if span > 0.0 { part / span } else { 0.0 };
        Some(std::array::from_fn(|of| had[of] as f64 + has[of].saturating_sub(had[of]) as f64 * part))
    }

    /// The first and the last.
    pub(super) fn ends(&self) -> Option<[(Millis, [u64; N]); 2]> {
        Some([*self.0.front()?, *self.0.back()?])
    }

    /// How many are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The first that is within the window.
    fn next(&self, now: Millis, window: Duration) -> usize {
        self.0.partition_point(|&(at, _)| now.since(at) >= window)
    }
}
