//! What is asked of an instance from outside: start, wake, restart, stop.

use std::time::Duration;

use super::{
    super::{Cause, Effect, Ending, Lifecycle, Phase, Rest, Start, Stop, Then, Timer},
    Step,
};
use crate::{slot::RunId, time::Millis, wake::WakeRefusal};

/// How long a request that found a run broken waits for the news of its end before it tries that run again.
pub(super) const DOUBT: Duration = Duration::from_millis(250);
/// What a client is told when only a person can help.
const RETRY_BY_HAND: Duration = Duration::from_secs(60);

impl Lifecycle {
    pub(super) fn start(&mut self, cause: Cause, step: &mut Step<'_>) {
        if self.shutting_down {
            return;
        }
        let start = Start { cause, again: false };
        match &mut self.phase {
            Phase::Rest(_) | Phase::Backoff { .. } => {
                if cause == Cause::Hand {
                    self.pardon();
                }
                self.reason = None;
                self.queue(start, step);
            }
            Phase::Ending(ending) => {
                if let Then::Rest(Rest::Asleep | Rest::FailedStart | Rest::CrashLoop) = ending.then {
                    ending.then = Then::Start(start);
                    if cause == Cause::Hand {
                        self.pardon();
                    }
                }
            }
            Phase::Queued(_) | Phase::Launching { .. } | Phase::Up { .. } | Phase::Forgotten => {}
        }
    }

    pub(super) fn wake(&mut self, failed: Option<RunId>, step: &mut Step<'_>) {
        if self.shutting_down {
            return self.refuse(Effect::refuse("tenement is shutting down", Duration::from_secs(5)), step);
        }
        let start = Start { cause: Cause::Wake, again: false };
        match &mut self.phase {
            Phase::Rest(Rest::Asleep | Rest::FailedStart)
            | Phase::Ending(Ending { then: Then::Rest(Rest::Asleep | Rest::FailedStart), .. })
                if !step.policy.wakeable =>
            {
                self.refuse_to_wake(step);
            }
            Phase::Rest(Rest::Asleep | Rest::FailedStart) => {
                self.waiting = true;
                self.reason = None;
                self.queue(start, step);
            }
            Phase::Rest(rest @ (Rest::Stopped | Rest::CrashLoop)) => {
                let rest = *rest;
                self.refuse_at_rest(rest, step);
            }
            Phase::Queued(_) | Phase::Launching { .. } => self.waiting = true,
            Phase::Up { .. } if failed == Some(self.run) => {
                self.waiting = true;
                self.set(Timer::Doubt, step.now().after(DOUBT), step);
            }
            Phase::Up { .. } => step.push(Effect::Admit { run: self.run, doubters: false }),
            Phase::Ending(ending) => match ending.then {
                Then::Rest(Rest::Asleep | Rest::FailedStart) => {
                    ending.then = Then::Start(start);
                    self.waiting = true;
                }
                Then::Rest(rest) => self.refuse_at_rest(rest, step),
                Then::Start(_) => self.waiting = true,
                Then::Backoff { until } => self.wait_out(until, step),
                Then::Forget => self.refuse(Effect::Refuse(WakeRefusal::Unknown), step),
            },
            Phase::Backoff { until } => {
                let until = *until;
                self.wait_out(until, step);
            }
            Phase::Forgotten => self.refuse(Effect::Refuse(WakeRefusal::Unknown), step),
        }
    }

    pub(super) fn refuse_to_wake(&mut self, step: &mut Step<'_>) {
        self.refuse(Effect::refuse("the instance is not started on demand", RETRY_BY_HAND), step);
    }

    fn refuse_at_rest(&mut self, rest: Rest, step: &mut Step<'_>) {
        let refusal = match rest {
            Rest::CrashLoop => Effect::down(self.reason.clone().unwrap_or_default(), RETRY_BY_HAND),
            _ => Effect::refuse("the instance is stopped", RETRY_BY_HAND),
        };
        self.refuse(refusal, step);
    }

    /// Waits for the end of a back-off, if that is no longer than a start may take anyway.
    pub(super) fn wait_out(&mut self, until: Millis, step: &mut Step<'_>) {
        let remaining = until.since(step.now());
        if remaining <= step.policy.startup_timeout {
            self.waiting = true;
        } else {
            let reason = self.reason.clone().unwrap_or_else(|| "the instance crashed".to_owned());
            self.refuse(Effect::down(reason, remaining), step);
        }
    }

    pub(super) fn restart(&mut self, step: &mut Step<'_>) {
        if self.shutting_down || self.is_going_for_good() {
            return;
        }
        self.pardon();
        self.restarts += 1;
        self.reason = Some("restarted by hand".to_owned());
        let start = Start { cause: Cause::Hand, again: true };
        match &mut self.phase {
            Phase::Rest(_) | Phase::Backoff { .. } => self.queue(start, step),
            Phase::Queued(queued) => *queued = start,
            Phase::Launching { launched, .. } => {
                let launched = *launched;
                step.push(Effect::ReleasePermit);
                self.end(launched, true, Then::Start(start), step);
            }
            Phase::Up { .. } => {
                step.push(Effect::Close);
                self.end(true, true, Then::Start(start), step);
            }
            Phase::Ending(ending) => ending.then = Then::Start(start),
            Phase::Forgotten => {}
        }
    }

    /// Whether a stop by hand is under way or done that a restart must not undo.
    #[must_use]
    pub fn is_going_for_good(&self) -> bool {
        match &self.phase {
            Phase::Ending(ending) => matches!(ending.then, Then::Forget | Then::Rest(Rest::Stopped)),
            Phase::Forgotten => true,
            _ => false,
        }
    }

    pub(super) fn stop(&mut self, stop: Stop, step: &mut Step<'_>) {
        let (then, refusal) = match stop {
            Stop::Keep => {
                (Then::Rest(Rest::Stopped), Effect::refuse("the instance was stopped", RETRY_BY_HAND))
            }
            Stop::Forget => (Then::Forget, Effect::Refuse(WakeRefusal::Unknown)),
            Stop::Shutdown => (
                Then::Rest(Rest::Asleep),
                Effect::refuse("tenement is shutting down", Duration::from_secs(5)),
            ),
            Stop::Removed => (Then::Rest(Rest::Asleep), Effect::Refuse(WakeRefusal::Unknown)),
        };
        let for_good = matches!(stop, Stop::Shutdown | Stop::Removed);
        self.shutting_down |= for_good;
        if matches!(self.phase, Phase::Forgotten) {
            return;
        }
        self.refuse(refusal, step);
        match stop {
            Stop::Keep => self.reason = Some("stopped by hand".to_owned()),
            Stop::Forget => self.reason = None,
            Stop::Removed => self.reason = Some("its service is no longer in the configuration".to_owned()),
            Stop::Shutdown => {}
        }
        match &mut self.phase {
            Phase::Rest(_) if for_good => {}
            Phase::Rest(_) | Phase::Backoff { .. } => self.arrive(then, step),
            Phase::Queued(_) => {
                step.push(Effect::ReleasePermit);
                self.arrive(then, step);
            }
            Phase::Launching { launched, .. } => {
                let launched = *launched;
                step.push(Effect::ReleasePermit);
                self.end(launched, true, then, step);
            }
            Phase::Up { .. } => {
                step.push(Effect::Close);
                self.end(true, true, then, step);
            }
            Phase::Ending(ending) => {
                let keep = match ending.then {
                    Then::Forget => true,
                    Then::Rest(Rest::Stopped) => stop != Stop::Forget,
                    _ => false,
                };
                if !keep {
                    ending.then = then;
                }
            }
            Phase::Forgotten => {}
        }
    }
}
