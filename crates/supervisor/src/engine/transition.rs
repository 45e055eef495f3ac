//! What is told of a step.

use tenement_core::{
    history::{Cause, Transition},
    lifecycle::{Cause as StartCause, Event, Found, Stop, Timer},
    time::Millis,
    view::{Health, Status},
};
use tenement_runtime::clock;

use super::entry::Entry;

/// What an instance was before a step, and what the step is about.
pub(super) struct Before {
    status: Status,
    health: Health,
    forgotten: bool,
    /// It had a process that was not being ended.
    alive: bool,
    cause: Option<Cause>,
}

impl Before {
    pub(super) fn of(entry: &mut Entry, event: &Event) -> Self {
        if let Event::Exited(run, ended) | Event::Resumed(Found::Ended(run, ended)) = event
            && *run == entry.life.run()
        {
            entry.exit = Some(ended.status);
        }
        Self {
            status: entry.life.status(),
            health: entry.life.health(),
            forgotten: entry.life.is_forgotten(),
            alive: is_alive(entry),
            cause: cause(event),
        }
    }

    /// What changed, if something did.
    pub(super) fn transition(self, entry: &mut Entry, now: Millis) -> Option<Transition> {
        let (status, reason) = (entry.life.status(), entry.life.reason());
        let forgotten = entry.life.is_forgotten() && !self.forgotten;
        // What changes the status without a cause of its own is a follow-up of what went before.
        let cause = self.cause.unwrap_or(Cause::Gone);
        let unasked = matches!(cause, Cause::Exit | Cause::StartFailed);
        // One that crashes at each try of a restart stays what it is, and every try is told.
        let fell = unasked && self.alive && !is_alive(entry);
        let is_same = status == self.status && !forgotten;
        if is_same && !fell {
            return None;
        }
        let name = &entry.record.name;
        tracing::info!(instance = %name, from = %self.status, to = %status, reason, "instance");
        let by_hand = matches!(cause, Cause::Start | Cause::Restart | Cause::Stop);
        let at_rest = |status| matches!(status, Status::Stopped | Status::Sleeping | Status::Failed);
        if status == Status::Running || (at_rest(self.status) && !at_rest(status)) {
            // How an earlier life ended was told then.
            entry.exit = None;
        }
        let woken_by = entry.woken_by.take().filter(|_| cause == Cause::Request && status != Status::Running);
        let lasted = now.since(entry.since);
        if !is_same {
            entry.since = now;
        }
        Some(Transition {
            at: clock::wall(),
            instance: name.clone(),
            run: entry.life.run(),
            from: self.status,
            to: (!forgotten).then_some(status),
            health: self.health,
            cause,
            actor: if by_hand { entry.actor.clone() } else { None },
            reason: reason.map(str::to_owned).or(woken_by),
            exit: entry.exit,
            lasted_ms: u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

fn is_alive(entry: &Entry) -> bool {
    entry.life.is_launching() || entry.life.up_since().is_some()
}

pub(super) fn cause(event: &Event) -> Option<Cause> {
    Some(match event {
        Event::Start(StartCause::Boot) => Cause::Boot,
        Event::Start(StartCause::Reload) | Event::Reconfigured { restart: Some(_) } => Cause::Reload,
        Event::Start(StartCause::Hand) => Cause::Start,
        Event::Start(StartCause::Policy) => Cause::Backoff,
        Event::Start(StartCause::Wake) | Event::Wake { .. } => Cause::Request,
        Event::Restart => Cause::Restart,
        Event::Stop(Stop::Keep | Stop::Forget) => Cause::Stop,
        Event::Stop(Stop::Shutdown) => Cause::Shutdown,
        Event::Stop(Stop::Removed) => Cause::Removed,
        Event::Permit => Cause::Permit,
        Event::Ready(_) => Cause::Ready,
        Event::LaunchFailed { .. } => Cause::StartFailed,
        Event::Exited(..) => Cause::Exit,
        Event::Gone(_) => Cause::Gone,
        Event::Checked { .. } | Event::Vanished(_) => Cause::Unhealthy,
        Event::DoorClosed(_) => Cause::Idle,
        Event::Rang { timer: Timer::Startup, .. } => Cause::StartFailed,
        Event::Rang { timer: Timer::Backoff, .. } => Cause::Backoff,
        Event::Resumed(Found::Ended(..)) => Cause::Exit,
        Event::Resumed(Found::Nothing) => Cause::Gone,
        Event::Resumed(Found::Refused(_)) => Cause::StartFailed,
        Event::Resumed(Found::Alive(_)) => Cause::Boot,
        Event::Launched(_)
        | Event::Unchecked(_)
        | Event::Hurry
        | Event::Rang { .. }
        | Event::Reconfigured { restart: None } => return None,
    })
}
