//! The life of one instance, as a pure function.
//!
//! ```text
//!                 start, wake                permit
//!   Rest ───────────────────────► Queued ───────────► Launching ──── ready ────► Up
//!   (asleep, stopped,               ▲  ▲                  │                       │
//!    failed)                        │  │                  │ failed start          │ exit, idle, unhealthy,
//!     ▲                    back-off │  │ restart          ▼                       ▼ stop, restart
//!     │                     is over │  └─────────────── Ending ◄──────────────────┘
//!     │                             │                     │    SIGTERM ─ grace ─► kill the tree
//!     │                          Backoff ◄── crash ───────┤
//!     └────────── stop, sleep, clean exit, limit ─────────┴──────── forget ──────► Forgotten
//!
//!   a new configuration: as a restart, where its processes are started in another way; else timers set anew
//! ```
//!
//! [`Lifecycle::step`] takes an event and the time, changes the state and says what has to be done. It does
//! nothing itself: whoever calls it carries out the [`Effect`]s and reports back with further [`Event`]s.
//!
//! Two rules make late news harmless by construction: every process carries a [`RunId`], every timer the
//! generation of the phase it was set in, and an event whose number is not the current one changes nothing.
//!
//! Invariants, checked after each step of the simulation:
//! 1. never two processes of one instance;
//! 2. no process in `Rest`, `Queued`, `Backoff` or `Forgotten`;
//! 3. the door is open exactly in `Up`;
//! 4. no waiter is forgotten: who waits is admitted, refused, or something is under way that will;
//! 5. a start permit is held exactly in `Launching`;
//! 6. by itself it is never started more often than the crash limit allows;
//! 7. after a shutdown began, nothing is started;
//! 8. every phase but `Rest`, `Up` and `Forgotten` has something under way that ends it;
//! 9. where requests may not start it, none does, but for a start under way when that changed;
//! 10. while it is up, the timers of the policy in force are set, each once.

mod backoff;
mod event;
mod health;
mod step;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

pub use backoff::Policy;
pub use event::{Cause, Effect, Ended, Event, Found, Moment, Stop, Timer};
pub use health::Checks;

use crate::{
    slot::{RunId, WakeStage},
    time::Millis,
    view::{Health, Status},
};

/// The state of one instance's life. Can be written down and read again, by a daemon that takes over: then
/// [`Event::Resumed`] must be its first event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lifecycle {
    phase: Phase,
    /// Grows with every change of phase; timers carry it.
    generation: u64,
    run: RunId,
    /// Whether somebody may be waiting to be let in.
    #[serde(skip)]
    waiting: bool,
    /// Set once, by the end of the daemon or of its service.
    #[serde(skip)]
    shutting_down: bool,
    crashes: VecDeque<Millis>,
    backoff_exponent: u32,
    restarts: u64,
    checks: Checks,
    reason: Option<String>,
}

/// Where in the diagram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Rest(Rest),
    Queued(Start),
    Launching { start: Start, launched: bool },
    Up { since: Millis },
    Ending(Ending),
    Backoff { until: Millis },
    Forgotten,
}

/// At rest, and what it takes to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Rest {
    /// A request wakes it.
    Asleep,
    /// Only a start by hand.
    Stopped,
    /// It did not start; the next request tries again.
    FailedStart,
    /// It crashed too often; only a start by hand.
    CrashLoop,
}

/// Why it is being started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Start {
    cause: Cause,
    /// It was up before: shown as `restarting`.
    again: bool,
}

/// A run that is being ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ending {
    /// Whether the process exists yet: a stop can overtake the launch.
    launched: bool,
    /// Whether the kill of the tree was asked for.
    killed: bool,
    then: Then,
}

/// What comes once the processes are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Then {
    Rest(Rest),
    Start(Start),
    Backoff { until: Millis },
    Forget,
}

impl Lifecycle {
    /// Asleep, with nothing behind it. Its runs are numbered upwards from after `before`, and so are its generations:
    /// timers of an earlier one of its name may still be on their way.
    #[must_use]
    pub fn new(before: RunId) -> Self {
        Self {
            phase: Phase::Rest(Rest::Asleep),
            generation: before.0,
            run: before,
            waiting: false,
            shutting_down: false,
            crashes: VecDeque::new(),
            backoff_exponent: 0,
            restarts: 0,
            checks: Checks::default(),
            reason: None,
        }
    }

    /// Stopped by hand, as remembered from before the daemon started.
    #[must_use]
    pub fn stopped(before: RunId) -> Self {
        Self { phase: Phase::Rest(Rest::Stopped), ..Self::new(before) }
    }

    /// The word for people and the API.
    #[must_use]
    pub fn status(&self) -> Status {
        match &self.phase {
            Phase::Rest(Rest::Asleep) | Phase::Forgotten => Status::Sleeping,
            Phase::Rest(Rest::Stopped) => Status::Stopped,
            Phase::Rest(Rest::FailedStart | Rest::CrashLoop) => Status::Failed,
            Phase::Queued(start) | Phase::Launching { start, .. } => {
                if start.again {
                    Status::Restarting
                } else {
                    Status::Starting
                }
            }
            Phase::Up { .. } => Status::Running,
            Phase::Ending(Ending { then: Then::Start(_) | Then::Backoff { .. }, .. }) => Status::Restarting,
            Phase::Ending(_) => Status::Stopping,
            Phase::Backoff { .. } => Status::Restarting,
        }
    }

    /// What the checks say; unknown without a process.
    #[must_use]
    pub fn health(&self) -> Health {
        match self.phase {
            Phase::Up { .. } => self.checks.health(),
            _ => Health::Unknown,
        }
    }

    /// Why it is where it is, in words.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Restarts by hand, after crashes and after failed checks.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The current or last run.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.run
    }

    /// When it became ready, while it is up.
    #[must_use]
    pub fn up_since(&self) -> Option<Millis> {
        match self.phase {
            Phase::Up { since } => Some(since),
            _ => None,
        }
    }

    /// Whether it is what it was, but for the totals of checks.
    #[must_use]
    pub fn is_as(&self, before: &Self) -> bool {
        self.generation == before.generation
            && self.phase == before.phase
            && self.restarts == before.restarts
            && self.reason == before.reason
            && self.health() == before.health()
    }

    /// Whether a process is on its way and not ready yet.
    #[must_use]
    pub fn is_launching(&self) -> bool {
        matches!(self.phase, Phase::Launching { .. })
    }

    /// Whether a run is being ended that will rest as stopped by hand.
    #[must_use]
    pub fn is_to_be_stopped(&self) -> bool {
        matches!(self.phase, Phase::Ending(Ending { then: Then::Rest(Rest::Stopped), .. }))
    }

    /// Whether it is asleep, or will be once its run has ended.
    #[must_use]
    pub fn is_asleep_or_will_be(&self) -> bool {
        match &self.phase {
            Phase::Rest(Rest::Asleep) => true,
            Phase::Ending(ending) => ending.then == Then::Rest(Rest::Asleep),
            _ => false,
        }
    }

    /// Whether a process is about to come to exist, or is being killed: neither takes long.
    #[must_use]
    pub fn is_between(&self) -> bool {
        matches!(
            self.phase,
            Phase::Launching { launched: false, .. }
                | Phase::Ending(Ending { launched: false, .. } | Ending { killed: true, .. })
        )
    }

    /// Whether a run is being ended.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending(_))
    }

    /// Whether it waits to be started again by itself.
    #[must_use]
    pub fn is_backing_off(&self) -> bool {
        matches!(self.phase, Phase::Backoff { .. })
    }

    /// How far the start is that a request is waiting for; `None` when there is none.
    #[must_use]
    pub fn wake_stage(&self) -> Option<WakeStage> {
        match self.phase {
            Phase::Queued(Start { cause: Cause::Wake, .. }) => Some(WakeStage::Queue),
            Phase::Launching { start: Start { cause: Cause::Wake, .. }, launched: false } => {
                Some(WakeStage::Spawn)
            }
            Phase::Launching { start: Start { cause: Cause::Wake, .. }, launched: true } => {
                Some(WakeStage::Ready)
            }
            _ => None,
        }
    }

    /// Whether it is at rest or forgotten: no process and none on its way.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Rest(_) | Phase::Forgotten)
    }

    /// Totals of its health checks.
    #[must_use]
    pub fn check_counts(&self) -> crate::view::CheckCounts {
        self.checks.counts()
    }

    /// Whether it was forgotten. Nothing happens to it any more.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        matches!(self.phase, Phase::Forgotten)
    }

    /// Whether it rests because a start by hand is needed or failed.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self.phase, Phase::Rest(Rest::FailedStart | Rest::CrashLoop))
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
