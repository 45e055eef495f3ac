//! What is shown of a ring: the intervals up to now, in order.

use super::{
    ring::{COARSE, FINE, Image, Ring},
    sample::Sample,
};

/// How far back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// In steps of 10 s.
    Hour,
    /// In steps of 5 min.
    Day,
    /// In steps of 5 min.
    Week,
}

impl Range {
    fn ring(self) -> (Ring, u32) {
        match self {
            Self::Hour => (FINE, FINE.count),
            Self::Day => (COARSE, 24 * 3600 / COARSE.step),
            Self::Week => (COARSE, COARSE.count),
        }
    }
}

/// Intervals of one length, none left out, oldest first. The last one goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The length of an interval, in seconds.
    pub step: u32,
    /// When each interval began, in seconds since the Unix epoch, and what is known of it.
    pub intervals: Vec<(u32, Option<Sample>)>,
}

impl Series {
    pub(super) fn of(image: &Image, range: Range, now: u32) -> Self {
        let (ring, count) = range.ring();
        let known = |at| match range {
            Range::Hour => image.fine(at),
            Range::Day | Range::Week => image.coarse(at, now),
        };
        Self { step: ring.step, intervals: ring.last(count, now).map(|at| (at, known(at))).collect() }
    }
}
