//! What every process of a run carries in its environment.

use std::fmt;

/// The value of `TENEMENT_RUN`, different for every run on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker<'a> {
    /// Of the data directory.
    pub(super) mark: &'a str,
    /// The process that started it.
    pub(super) daemon: u32,
    /// When, in milliseconds since 1970.
    pub(super) wall: u64,
    /// How many that process had started.
    pub(super) start: u64,
    /// The number of the run.
    pub(super) run: u64,
    /// When it was about to be started, in clock ticks since boot.
    pub(super) ticks: u64,
}

impl fmt::Display for Marker<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mark, daemon, wall, start, run, ticks } = self;
        write!(out, "{mark}-{daemon}-{wall}-{start}-{run}-{ticks}")
    }
}

impl<'a> Marker<'a> {
    /// Nothing for one of a release that said less.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('-');
        let mark = parts.next()?;
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (daemon, wall, start) = (number()?.try_into().ok()?, number()?, number()?);
        let (run, ticks) = (number()?, number()?);
        parts.next().is_none().then_some(Self { mark, daemon, wall, start, run, ticks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_comes_back_as_it_was_and_one_that_says_less_is_none() {
        let marker = Marker { mark: "00ff", daemon: 7, wall: 9, start: 0, run: 1 << 40, ticks: 5 };
        let text = marker.to_string();
        assert_eq!(Marker::parse(&text), Some(marker));
        for other in ["00ff-7-9-0", "", "00ff-7-9-0-1-x", "00ff-7-9-0-1-5-5"] {
            assert_eq!(Marker::parse(other), None, "{other}");
        }
    }
}
