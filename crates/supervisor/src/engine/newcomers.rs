//! How fast requests may make instances of names that nobody knows, where the service allows it at all: whoever asks
//! for random names must not fill the host within a second.

use tenement_core::time::Millis;

/// So many at once.
const BURST: u64 = 64;
/// And then one in so many milliseconds.
const PACE: u64 = 125;

/// A bucket that fills by itself.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    /// When all that was taken will have come back.
    full_at: u64,
}

impl Newcomers {
    /// Whether one more may come now.
    pub(super) fn take(&mut self, now: Millis) -> bool {
        let full_at = self.full_at.max(now.0) + PACE;
        let fits = full_at - now.0 <= BURST * PACE;
        if fits {
            self.full_at = full_at;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: P8
    #[test]
    fn a_burst_is_followed_by_a_trickle() {
        let mut newcomers = Newcomers::default();
        let taken = |newcomers: &mut Newcomers, at| (0..1000).filter(|_| newcomers.take(Millis(at))).count();
        assert_eq!(taken(&mut newcomers, 10), 64);
        assert_eq!(taken(&mut newcomers, 10 + PACE), 1);
        assert_eq!(taken(&mut newcomers, 10 + 4 * PACE), 3);
        assert_eq!(taken(&mut newcomers, 1_000_000), 64);
    }
}
