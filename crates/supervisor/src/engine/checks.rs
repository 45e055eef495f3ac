//! Health checks in rounds: those that become due together are asked together, and answered together.
//!
//! ```text
//!   due ──► asked ──COLLECT──► verdict
//!                      └─ not yet ─► a task that waits for this one alone
//! ```
//!
//! An idle daemon with hundreds of instances does little else than checking them, and most of what a check costs
//! is being woken: for its time, and for its answer. So both happen for many at once.

use std::time::Duration;

use tenement_core::{lifecycle::Event, name::InstanceName, slot::RunId, time::Millis};
use tenement_runtime::{clock, seldom::Seldom};

use super::{
    Engine,
    message::{Message, News},
};
use crate::check::{CheckError, Exchange, Question, Verdict};

/// Checks of one moment, if it can be chosen.
const TOGETHER: usize = 25;
/// Moments in which the checks of one interval are done: few enough that a round is worth being woken for, and so many that no
/// round keeps the loop from other work for long.
const SLOTS: std::ops::RangeInclusive<usize> = 12..=32;
/// When the answers of a round are collected.
const COLLECT: Duration = Duration::from_millis(10);

static OWN_SAID: Seldom = Seldom::new();

/// The run that is checked.
type Key = (InstanceName, RunId);

/// What is to be asked and what was asked.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    due: Vec<(Key, Question)>,
    asked: Vec<(Key, Result<Exchange, CheckError>)>,
    collect_at: Option<Millis>,
}

impl Rounds {
    pub(super) fn add(&mut self, key: Key, question: Question) {
        self.due.push((key, question));
    }

    /// When answers are to be looked at.
    pub(super) fn next(&self) -> Option<Millis> {
        self.collect_at
    }
}

/// The moment of its interval in which a check that would be due at `at` is done, with so many instances: to check some at a
/// time costs much less than as many by themselves. Moments of an interval are as far from each other, and from those of the
/// next one, so that nobody is checked much more seldom than asked for.
pub(super) fn slot(at: Millis, interval: Duration, instances: usize) -> Millis {
    let slots = (instances / TOGETHER).clamp(*SLOTS.start(), *SLOTS.end());
    let interval = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    let length = interval.div_ceil(slots as u64).max(1);
    Millis(at.0.checked_next_multiple_of(length).unwrap_or(at.0))
}

impl Engine {
    /// Asks what became due.
    pub(super) fn ask(&mut self, now: Millis) {
        if self.rounds.due.is_empty() {
            return;
        }
        let asked = self.rounds.due.drain(..).map(|(key, question)| (key, Exchange::begin(&question)));
        self.rounds.asked.extend(asked);
        self.rounds.collect_at.get_or_insert(now.after(COLLECT));
    }

    /// Takes the answers that are there; the others are waited for one by one.
    pub(super) fn collect(&mut self, now: Millis) {
        if self.rounds.collect_at.is_none_or(|at| at > now) {
            return;
        }
        self.rounds.collect_at = None;
        for (key, exchange) in std::mem::take(&mut self.rounds.asked) {
            match exchange {
                Ok(mut exchange) => match exchange.advance() {
                    Some(verdict) => {
                        if verdict.is_ok() && !exchange.is_over() {
                            self.tasks.spawn(exchange.linger());
                        }
                        self.checked(key, verdict);
                    }
                    None => self.wait_for(key, exchange),
                },
                Err(error) => self.checked(key, Err(error)),
            }
        }
    }

    fn checked(&mut self, (name, run): Key, verdict: Verdict) {
        if let Some(entry) = self.entries.get_mut(&name) {
            let event = event(run, verdict);
            if let Event::Checked { .. } = event {
                entry.last_check = Some(clock::wall());
            }
            self.agenda.push_back((name, event));
        }
    }

    fn wait_for(&mut self, (name, run): Key, exchange: Exchange) {
        let messages = self.messages.clone();
        self.tasks.spawn(async move {
            let left = exchange.timeout().saturating_sub(COLLECT);
            let tell = |verdict| {
                let _ = messages.send(Message::News(name, News::Event(event(run, verdict))));
            };
            exchange.wait(left, tell).await;
        });
    }
}

fn event(run: RunId, verdict: Verdict) -> Event {
    if let Err(CheckError::Own(error)) = &verdict {
        if let Some(unsaid) = OWN_SAID.now() {
            tracing::warn!(%error, unsaid, "health checks can't be done now, so nothing is judged by them");
        }
        return Event::Unchecked(run);
    }
    Event::Checked { run, failure: verdict.err().map(|error| error.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_a_part_of_the_interval_and_never_earlier() {
        let interval = Duration::from_secs(32);
        assert_eq!(slot(Millis(1), interval, 10_000), Millis(1000));
        assert_eq!(slot(Millis(1000), interval, 10_000), Millis(1000));
        assert_eq!(
            slot(Millis(1), Duration::from_secs(12), 1),
            Millis(1000),
            "few are checked in few moments"
        );
        assert_eq!(slot(Millis(7), Duration::from_millis(3), 1), Millis(7));
    }

    #[test]
    fn the_next_check_is_an_interval_later() {
        for (seconds, instances) in [(5, 300), (5, 10_000), (30, 1), (7, 333)] {
            let interval = Duration::from_secs(seconds);
            let first = slot(Millis(123_456), interval, instances);
            let next = slot(first.after(interval), interval, instances);
            assert!(next.since(first) - interval < Duration::from_millis(32), "{seconds} s, {instances}");
        }
    }
}
