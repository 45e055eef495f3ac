//! A daemon takes over what an earlier one has left: the state is that one's, the process is as it was found.
//!
//! | remembered | alive | ended | nothing |
//! |---|---|---|---|
//! | up | open again | as any exit | as an exit nobody saw |
//! | launching | wait on | a failed start, tried again unless for a request | started again, unless for a request |
//! | ending | end it again | its tree is ended | where the end leads |
//! | back-off | - | - | its rest is waited out |
//!
//! What was remembered can be older than the process: a start is written down by who carries it out, before the state is.

use super::{
    super::{Cause, Effect, Ended, Ending, Found, Lifecycle, Phase, Rest, Start, Then, Timer},
    Step,
};
use crate::{history::ExitStatus, slot::RunId};

impl Lifecycle {
    pub(super) fn resumed(&mut self, found: Found, step: &mut Step<'_>) {
        match &mut self.phase {
            // Nobody waits any more to be told that it failed; that it was to be started was promised.
            Phase::Launching { start, .. } | Phase::Queued(start) if start.cause == Cause::Hand => {
                start.cause = Cause::Boot;
            }
            _ => {}
        }
        match found {
            Found::Alive(run) => {
                self.catch_up(run);
                self.alive(step);
            }
            Found::Ended(run, ended) => {
                self.catch_up(run);
                self.ended(&ended, step);
            }
            Found::Nothing => self.without_process(step),
            Found::Refused(reason) => {
                self.reason = Some(reason);
                self.enter(Phase::Rest(Rest::CrashLoop));
            }
        }
    }

    /// The run that has a process is the current one, and was launched.
    fn catch_up(&mut self, run: RunId) {
        match &mut self.phase {
            _ if run > self.run => {
                let start = Start { cause: Cause::Boot, again: false };
                self.enter(Phase::Launching { start, launched: true });
            }
            Phase::Launching { launched, .. } => *launched = true,
            Phase::Ending(ending) => ending.launched = true,
            // Its end was written down before its process had gone.
            Phase::Queued(Start { cause: Cause::Wake, .. }) => self.end_as(Then::Rest(Rest::Asleep)),
            Phase::Queued(start) => {
                let start = *start;
                self.end_as(Then::Start(start));
            }
            Phase::Backoff { until } => {
                let until = *until;
                self.end_as(Then::Backoff { until });
            }
            Phase::Rest(rest) => {
                let rest = *rest;
                self.end_as(Then::Rest(rest));
            }
            Phase::Forgotten => self.end_as(Then::Forget),
            Phase::Up { .. } => {}
        }
        self.run = run;
    }

    fn end_as(&mut self, then: Then) {
        self.enter(Phase::Ending(Ending { launched: true, killed: true, then }));
    }

    fn alive(&mut self, step: &mut Step<'_>) {
        match self.phase {
            Phase::Up { since } => {
                step.push(Effect::Reopen(self.run));
                if let Some(idle) = step.policy.idle_timeout {
                    // When it was last used is looked at then.
                    self.set(Timer::Idle, since.after(idle).max(step.now()), step);
                }
                // The answer to one that was asked for went to nobody.
                self.checks.ended();
                self.set_first_check(step);
            }
            Phase::Launching { .. } => {
                step.push(Effect::Await(self.run));
                self.set(Timer::Startup, step.now().after(step.policy.startup_timeout), step);
            }
            Phase::Ending(Ending { killed: true, .. }) => step.push(Effect::Kill(self.run)),
            Phase::Ending(Ending { then, .. }) => self.end(true, true, then, step),
            _ => {}
        }
    }

    fn ended(&mut self, ended: &Ended, step: &mut Step<'_>) {
        match self.phase {
            Phase::Ending(Ending { then, .. }) => self.end(true, false, then, step),
            _ => self.exited(ended, step),
        }
    }

    fn without_process(&mut self, step: &mut Step<'_>) {
        let unseen = Ended {
            clean: false,
            words: "ended while nobody was looking".to_owned(),
            status: ExitStatus::default(),
        };
        match self.phase {
            Phase::Up { since } => {
                let lasted = step.now().since(since);
                let then = self.after_exit(&unseen, lasted, step);
                self.arrive(then, step);
            }
            // Whoever waited for it is gone.
            Phase::Queued(start) | Phase::Launching { start, .. } if start.cause == Cause::Wake => {
                self.arrive(Then::Rest(Rest::Asleep), step);
            }
            Phase::Queued(start) | Phase::Launching { start, .. } => self.queue(start, step),
            Phase::Ending(Ending { then: Then::Start(start), .. }) if start.cause == Cause::Wake => {
                self.arrive(Then::Rest(Rest::Asleep), step);
            }
            Phase::Ending(Ending { then, .. }) => self.arrive(then, step),
            Phase::Backoff { until } => self.arrive(Then::Backoff { until }, step),
            Phase::Rest(_) | Phase::Forgotten => {}
        }
    }
}
