//! Requests per second of the last five minutes, in memory.

use super::ring::FINE;

/// How many intervals of 10 s.
pub(super) const COUNT: u32 = 30;

/// By interval, each in the place of the one that is [`COUNT`] older.
#[derive(Clone, Debug)]
pub(super) struct Spark([(u32, f32); COUNT as usize]);

impl Default for Spark {
    fn default() -> Self {
        Self([(0, 0.0); COUNT as usize])
    }
}

impl Spark {
    fn place(at: u32) -> usize {
        (at / FINE.step % COUNT) as usize
    }

    /// Sets that of the interval that begins at `at`.
    pub(super) fn set(&mut self, at: u32, rate: f32) {
        self.0[Self::place(at)] = (at, rate);
    }

    /// Those of the last intervals, oldest first; the last is the one that begins at `at`. Where nothing was measured there
    /// were no requests.
    pub(super) fn until(&self, at: u32) -> Vec<f32> {
        let rate = |start: u32| match self.0[Self::place(start)] {
            (found, rate) if found == start => rate,
            _ => 0.0,
        };
        FINE.last(COUNT, at).map(rate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_what_is_older_count_as_nothing() {
        let mut spark = Spark::default();
        for at in (1000..2000).step_by(10) {
            spark.set(at, at as f32);
        }
        let full: Vec<_> = (1700..2000).step_by(10).map(|at| at as f32).collect();
        assert_eq!(spark.until(1990), full);
        spark.set(2050, 5.0);
        let found = spark.until(2050);
        assert_eq!((found[29], &found[24..29], found[23]), (5.0, [0.0; 5].as_slice(), 1990.0));
        assert_eq!(spark.until(9990), [0.0; 30]);
    }
}
