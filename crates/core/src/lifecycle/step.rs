//! The step: one event in, effects out.

mod demand;
mod reconfigure;
mod resume;
mod run;

use super::{Effect, Ending, Event, Lifecycle, Moment, Phase, Policy, Rest, Start, Then, Timer};
use crate::time::Millis;

/// What a step reads besides the state, and where its effects go.
struct Step<'a> {
    moment: Moment,
    policy: &'a Policy,
    effects: Vec<Effect>,
}

impl Step<'_> {
    fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn now(&self) -> Millis {
        self.moment.now
    }
}

impl Lifecycle {
    /// Takes an event in and says what follows. Events that are no longer current change nothing.
    pub fn step(&mut self, event: Event, moment: Moment, policy: &Policy) -> Vec<Effect> {
        let mut step = Step { moment, policy, effects: Vec::new() };
        match event {
            Event::Resumed(found) => self.resumed(found, &mut step),
            Event::Start(cause) => self.start(cause, &mut step),
            Event::Wake { failed } => self.wake(failed, &mut step),
            Event::Restart => self.restart(&mut step),
            Event::Reconfigured { restart } => self.reconfigured(restart, &mut step),
            Event::Stop(stop) => self.stop(stop, &mut step),
            Event::Hurry => self.rang(Timer::Grace, Millis(0), &mut step),
            Event::Permit => self.permit(&mut step),
            Event::Launched(run) if run == self.run => self.launched(&mut step),
            Event::LaunchFailed { run, words, permanent } if run == self.run => {
                self.launch_failed(&words, permanent, &mut step);
            }
            Event::Ready(run) if run == self.run => self.ready(&mut step),
            Event::Exited(run, ended) if run == self.run => self.exited(&ended, &mut step),
            Event::Gone(run) if run == self.run => self.gone(&mut step),
            Event::Checked { run, failure } if run == self.run => self.checked(failure, &mut step),
            Event::Unchecked(run) if run == self.run => self.unchecked(&mut step),
            Event::Vanished(run) if run == self.run => self.vanished(&mut step),
            Event::Rang { timer, generation, last_active } if generation == self.generation => {
                self.rang(timer, last_active, &mut step);
            }
            Event::DoorClosed(closed) => self.door_closed(closed, &mut step),
            Event::Launched(_)
            | Event::LaunchFailed { .. }
            | Event::Ready(_)
            | Event::Exited(..)
            | Event::Gone(_)
            | Event::Checked { .. }
            | Event::Unchecked(_)
            | Event::Vanished(_)
            | Event::Rang { .. } => {}
        }
        step.effects
    }

    fn rang(&mut self, timer: Timer, last_active: Millis, step: &mut Step<'_>) {
        match (timer, &mut self.phase) {
            (Timer::Startup, Phase::Launching { start, launched }) => {
                let (start, launched) = (*start, *launched);
                let words = format!("not ready within {}", seconds(step.policy.startup_timeout));
                self.fail_start(start, launched, &words, false, step);
            }
            (Timer::Grace, Phase::Ending(ending)) if !ending.killed => {
                ending.killed = true;
                step.push(Effect::Kill(self.run));
            }
            (Timer::Backoff, Phase::Backoff { .. }) => {
                self.restarts += 1;
                self.queue(Start { cause: super::Cause::Policy, again: true }, step);
            }
            (Timer::Idle, Phase::Up { since }) => {
                let quiet_since = last_active.max(*since);
                let Some(idle_timeout) = step.policy.idle_timeout else { return };
                let due = quiet_since.after(idle_timeout);
                if due > step.now() {
                    self.set(Timer::Idle, due, step);
                } else {
                    step.push(Effect::CloseIfIdle);
                }
            }
            (Timer::Check, Phase::Up { .. }) => {
                self.checks.ask();
                step.push(Effect::Check(self.run));
            }
            (Timer::Doubt, Phase::Up { .. }) => {
                self.waiting = false;
                step.push(Effect::Admit { run: self.run, doubters: true });
            }
            _ => {}
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }

    fn set(&self, timer: Timer, at: Millis, step: &mut Step<'_>) {
        step.push(Effect::Set { timer, generation: self.generation, at });
    }

    fn queue(&mut self, start: Start, step: &mut Step<'_>) {
        self.enter(Phase::Queued(start));
        step.push(Effect::RequestPermit);
    }

    /// Goes to where an ended run leads, or to where one would that never came to be.
    fn arrive(&mut self, then: Then, step: &mut Step<'_>) {
        match then {
            Then::Start(_) | Then::Backoff { .. } if self.shutting_down => {
                self.enter(Phase::Rest(Rest::Asleep));
            }
            Then::Rest(rest) => self.enter(Phase::Rest(rest)),
            Then::Start(start) => self.queue(start, step),
            Then::Backoff { until } => {
                self.enter(Phase::Backoff { until });
                self.set(Timer::Backoff, until.max(step.now()), step);
            }
            Then::Forget => {
                self.enter(Phase::Forgotten);
                step.push(Effect::Forgotten);
            }
        }
    }

    /// Begins to end the current run: by SIGTERM and a grace period, or at once.
    fn end(&mut self, launched: bool, gently: bool, then: Then, step: &mut Step<'_>) {
        let killed = !(launched && gently);
        self.enter(Phase::Ending(Ending { launched, killed, then }));
        if !launched {
            return; // there is nothing to end yet: `launched` does it
        }
        if killed {
            step.push(Effect::Kill(self.run));
        } else {
            step.push(Effect::Terminate(self.run));
            self.set(Timer::Grace, step.now().after(step.policy.stop_timeout), step);
        }
    }

    fn refuse(&mut self, effect: Effect, step: &mut Step<'_>) {
        self.waiting = false;
        step.push(effect);
    }
}

/// A duration for people: "10 s", "1.5 s".
fn seconds(duration: std::time::Duration) -> String {
    let tenths = duration.as_millis().div_ceil(100);
    if tenths.is_multiple_of(10) {
        format!("{} s", tenths / 10)
    } else {
        format!("{}.{} s", tenths / 10, tenths % 10)
    }
}
