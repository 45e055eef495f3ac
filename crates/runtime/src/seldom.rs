//! Not saying the same thing over and over.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tenement_core::time::Millis;

use crate::clock;

/// Between two times.
const PERIOD: Duration = Duration::from_secs(60);

/// Says when something that may go on for hours is to be logged: at first, then once a minute. For a `static` beside the
/// line, shared by all threads.
#[derive(Debug)]
pub struct Seldom(Mutex<State>);

#[derive(Debug)]
struct State {
    said: Option<Millis>,
    unsaid: u64,
}

impl Seldom {
    /// It was never said.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(State { said: None, unsaid: 0 }))
    }

    /// Whether to say it now, and how often it was not said since the last time.
    pub fn now(&self) -> Option<u64> {
        self.at(clock::now())
    }

    fn at(&self, now: Millis) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.said.is_some_and(|said| said.after(PERIOD) > now) {
            state.unsaid += 1;
            return None;
        }
        state.said = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

impl Default for Seldom {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_first_and_then_once_a_minute_with_how_often_it_was_left_out() {
        let seldom = Seldom::new();
        let said: Vec<_> = [0, 1, 59_999, 60_000, 60_001, 500_000].map(|at| seldom.at(Millis(at))).into();
        assert_eq!(said, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
