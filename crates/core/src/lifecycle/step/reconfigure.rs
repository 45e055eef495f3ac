//! What a new configuration means for an instance.

use super::{
    super::{Cause, Effect, Lifecycle, Phase, Rest, Start, Then, Timer},
    Step,
    demand::DOUBT,
};

impl Lifecycle {
    pub(super) fn reconfigured(&mut self, restart: Option<String>, step: &mut Step<'_>) {
        if self.shutting_down || self.is_going_for_good() {
            return;
        }
        match restart {
            Some(reason) => self.replace(reason, step),
            None => self.set_anew(step),
        }
    }

    /// What runs is ended and started again; what failed may be tried again, as it is another one now. What sleeps or
    /// was stopped stays so.
    fn replace(&mut self, reason: String, step: &mut Step<'_>) {
        self.pardon();
        let start = Start { cause: Cause::Reload, again: true };
        match &mut self.phase {
            Phase::Rest(Rest::FailedStart | Rest::CrashLoop) => {
                self.reason = None;
                self.enter(Phase::Rest(Rest::Asleep));
            }
            Phase::Backoff { .. } => {
                self.reason = Some(reason);
                self.queue(start, step);
            }
            Phase::Launching { launched, .. } => {
                let launched = *launched;
                self.reason = Some(reason);
                self.restarts += 1;
                step.push(Effect::ReleasePermit);
                self.end(launched, true, Then::Start(start), step);
            }
            Phase::Up { .. } => {
                self.reason = Some(reason);
                self.restarts += 1;
                step.push(Effect::Close);
                self.end(true, true, Then::Start(start), step);
            }
            Phase::Ending(ending) => match ending.then {
                Then::Rest(Rest::FailedStart | Rest::CrashLoop) => ending.then = Then::Rest(Rest::Asleep),
                Then::Backoff { .. } => ending.then = Then::Start(start),
                Then::Rest(_) | Then::Start(_) | Then::Forget => {}
            },
            Phase::Rest(Rest::Asleep | Rest::Stopped) | Phase::Queued(_) | Phase::Forgotten => {}
        }
    }

    /// While it is up its timers are those of the policy before: a new generation makes them harmless.
    fn set_anew(&mut self, step: &mut Step<'_>) {
        let Phase::Up { since } = self.phase else { return };
        self.enter(Phase::Up { since });
        if self.waiting {
            self.set(Timer::Doubt, step.now().after(DOUBT), step);
        }
        if step.policy.idle_timeout.is_some() {
            // Rings at once, and then knows how long it has been idle.
            self.set(Timer::Idle, step.now(), step);
        }
        match step.policy.check_interval {
            None => self.checks.give_up(),
            Some(_) if self.checks.is_asked() => {}
            Some(_) => self.set_first_check(step),
        }
    }
}
