//! What happens to a run: from its permit to its last process.

use std::time::Duration;

use super::{
    super::{Cause, Effect, Ended, Lifecycle, Phase, Rest, Start, Then, Timer, backoff::Verdict},
    Step, seconds,
};
use crate::{config::RestartPolicy, slot::RunId, time::Millis};

/// What clients are told after a failed start; the next request tries again anyway.
const RETRY_START: Duration = Duration::from_secs(1);

impl Lifecycle {
    pub(super) fn permit(&mut self, step: &mut Step<'_>) {
        let Phase::Queued(start) = self.phase else {
            return step.push(Effect::ReleasePermit);
        };
        self.run = RunId(self.run.0 + 1);
        self.enter(Phase::Launching { start, launched: false });
        step.push(Effect::Launch(self.run));
        self.set(Timer::Startup, step.now().after(step.policy.startup_timeout), step);
    }

    pub(super) fn launched(&mut self, step: &mut Step<'_>) {
        match &mut self.phase {
            Phase::Launching { launched, .. } => *launched = true,
            Phase::Ending(ending) if !ending.launched => {
                ending.launched = true;
                step.push(Effect::Kill(self.run));
            }
            _ => {}
        }
    }

    pub(super) fn launch_failed(&mut self, words: &str, permanent: bool, step: &mut Step<'_>) {
        match self.phase {
            Phase::Launching { start, .. } => {
                step.push(Effect::ReleasePermit);
                let then = self.after_failed_start(start, words, permanent, step);
                self.refuse(Effect::failed(words, RETRY_START), step);
                self.arrive(then, step);
            }
            Phase::Ending(ending) if !ending.launched => self.arrive(ending.then, step),
            _ => {}
        }
    }

    /// A run that exists, or is about to, did not become ready.
    pub(super) fn fail_start(
        &mut self,
        start: Start,
        launched: bool,
        words: &str,
        permanent: bool,
        step: &mut Step<'_>,
    ) {
        step.push(Effect::ReleasePermit);
        let then = self.after_failed_start(start, words, permanent, step);
        self.refuse(Effect::failed(words, RETRY_START), step);
        self.end(launched, false, then, step);
    }

    /// A start that a request or a person asked for is not tried again by itself: the next request, or the
    /// person, does. One that nobody waits for is.
    fn after_failed_start(
        &mut self,
        start: Start,
        words: &str,
        permanent: bool,
        step: &mut Step<'_>,
    ) -> Then {
        let by_itself = matches!(start.cause, Cause::Boot | Cause::Policy | Cause::Reload);
        if by_itself && !permanent && step.policy.restart != RestartPolicy::Never {
            self.after_crash(Duration::ZERO, words, step)
        } else {
            self.reason = Some(words.to_owned());
            Then::Rest(Rest::FailedStart)
        }
    }

    fn after_crash(&mut self, lasted: Duration, words: &str, step: &mut Step<'_>) -> Then {
        match self.crashed(lasted, step.policy, step.moment) {
            Verdict::Again(delay) => {
                self.reason = Some(format!("{words}; started again after {}", seconds(delay)));
                Then::Backoff { until: step.now().after(delay) }
            }
            Verdict::Enough => {
                self.reason = Some(format!(
                    "{words}; that was crash number {} within {}, and {} are allowed: start it by hand",
                    self.crashes.len(),
                    seconds(step.policy.restart_window),
                    step.policy.max_restarts,
                ));
                Then::Rest(Rest::CrashLoop)
            }
        }
    }

    pub(super) fn ready(&mut self, step: &mut Step<'_>) {
        let Phase::Launching { start, launched: true } = self.phase else { return };
        self.enter(Phase::Up { since: step.now() });
        self.checks.begin(step.policy.check_interval.is_some());
        if !start.again {
            self.reason = None;
        }
        self.waiting = false;
        step.push(Effect::ReleasePermit);
        step.push(Effect::Open(self.run));
        step.push(Effect::Admit { run: self.run, doubters: true });
        if let Some(idle) = step.policy.idle_timeout {
            self.set(Timer::Idle, step.now().after(idle), step);
        }
        self.set_first_check(step);
    }

    pub(super) fn set_first_check(&self, step: &mut Step<'_>) {
        if let Some(interval) = step.policy.check_interval {
            // A random point of the interval, so that instances started together are not checked together.
            let first = interval.mul_f64((step.moment.dice % 1024) as f64 / 1024.0);
            self.set(Timer::Check, step.now().after(first), step);
        }
    }

    pub(super) fn exited(&mut self, ended: &Ended, step: &mut Step<'_>) {
        match &mut self.phase {
            Phase::Launching { start, .. } => {
                let start = *start;
                let words = format!("{} before it was ready", ended.words);
                self.fail_start(start, true, &words, false, step);
            }
            Phase::Up { since } => {
                let lasted = step.now().since(*since);
                step.push(Effect::Close);
                let then = self.after_exit(ended, lasted, step);
                self.settle_waiters(then, step);
                let then = if then == Then::Rest(Rest::Asleep) { self.asleep_or_woken(step) } else { then };
                self.end(true, false, then, step);
            }
            Phase::Ending(ending) if !ending.killed => {
                ending.killed = true;
                step.push(Effect::Kill(self.run));
            }
            _ => {}
        }
    }

    pub(super) fn after_exit(&mut self, ended: &Ended, lasted: Duration, step: &mut Step<'_>) -> Then {
        let again = match step.policy.restart {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => !ended.clean,
            RestartPolicy::Never => false,
        };
        if again {
            return self.after_crash(lasted, &ended.words, step);
        }
        self.reason = Some(ended.words.clone());
        Then::Rest(if ended.clean { Rest::Asleep } else { Rest::FailedStart })
    }

    /// Who waits goes on waiting only for what comes soon.
    fn settle_waiters(&mut self, then: Then, step: &mut Step<'_>) {
        if !self.waiting {
            return;
        }
        match then {
            Then::Backoff { until } => self.wait_out(until, step),
            Then::Rest(Rest::Asleep) | Then::Start(_) => {}
            Then::Rest(_) | Then::Forget => {
                let reason = self.reason.clone().unwrap_or_default();
                self.refuse(Effect::failed(reason, RETRY_START), step);
            }
        }
    }

    pub(super) fn gone(&mut self, step: &mut Step<'_>) {
        if let Phase::Ending(ending) = self.phase {
            self.arrive(ending.then, step);
        }
    }

    pub(super) fn checked(&mut self, failure: Option<String>, step: &mut Step<'_>) {
        let Phase::Up { since } = self.phase else { return };
        self.checks.ended();
        let Some(interval) = step.policy.check_interval else { return };
        let enough = self.checks.book(failure.is_none());
        if !enough || step.policy.restart == RestartPolicy::Never {
            return self.set(Timer::Check, step.now().after(interval), step);
        }
        let words = format!("3 health checks in a row failed: {}", failure.unwrap_or_default());
        self.give_up(since, &words, step);
    }

    /// A run that a request could not reach, and that nobody can.
    pub(super) fn vanished(&mut self, step: &mut Step<'_>) {
        let Phase::Up { since } = self.phase else { return };
        if step.policy.restart == RestartPolicy::Never {
            return self.rang(Timer::Doubt, Millis(0), step);
        }
        self.give_up(since, "its socket was removed", step);
    }

    /// Ends a run that lives and is of no use; another one follows.
    fn give_up(&mut self, since: Millis, words: &str, step: &mut Step<'_>) {
        step.push(Effect::Close);
        let then = self.after_crash(step.now().since(since), words, step);
        self.settle_waiters(then, step);
        self.end(true, true, then, step);
    }

    /// The next one is at its time.
    pub(super) fn unchecked(&mut self, step: &mut Step<'_>) {
        let Phase::Up { .. } = self.phase else { return };
        self.checks.ended();
        if let Some(interval) = step.policy.check_interval {
            self.set(Timer::Check, step.now().after(interval), step);
        }
    }

    /// Where a run that ended well leads, when a request may be waiting already.
    fn asleep_or_woken(&mut self, step: &mut Step<'_>) -> Then {
        match self.waiting {
            true if step.policy.wakeable => Then::Start(Start { cause: Cause::Wake, again: false }),
            true => {
                self.refuse_to_wake(step);
                Then::Rest(Rest::Asleep)
            }
            false => Then::Rest(Rest::Asleep),
        }
    }

    pub(super) fn door_closed(&mut self, closed: bool, step: &mut Step<'_>) {
        let Phase::Up { .. } = self.phase else { return };
        let Some(idle) = step.policy.idle_timeout else { return };
        if closed {
            self.reason = Some(format!("idle for {}", seconds(idle)));
            let then = self.asleep_or_woken(step);
            self.end(true, true, then, step);
        } else {
            self.set(Timer::Idle, step.now().after(idle), step);
        }
    }
}
