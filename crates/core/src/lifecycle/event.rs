//! What can happen to an instance, and what can follow.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{history::ExitStatus, slot::RunId, time::Millis, wake::WakeRefusal};

/// When something happens, and the dice thrown for it: what a pure function can't get by itself.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Now.
    pub now: Millis,
    /// Evenly distributed, for jitter.
    pub dice: u64,
}

/// Who asked for a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The daemon's own start.
    Boot,
    /// A person or program, through the API.
    Hand,
    /// A request.
    Wake,
    /// A crash before, and the restart policy.
    Policy,
    /// A new configuration.
    Reload,
}

/// How far a stop goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Known afterwards, as stopped.
    Keep,
    /// Not known afterwards.
    Forget,
    /// The daemon ends; the instance is what it was when the daemon comes back.
    Shutdown,
    /// Its service is not in the configuration any more; it is what it was when the service comes back.
    Removed,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// With exit code 0.
    pub clean: bool,
    /// For people: "exited with code 3".
    pub words: String,
    /// For programs.
    pub status: ExitStatus,
}

/// A timer. At most one of a kind is set in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// It should have been ready.
    Startup,
    /// It should have ended after SIGTERM.
    Grace,
    /// The back-off is over.
    Backoff,
    /// It may have been idle long enough.
    Idle,
    /// A health check is due.
    Check,
    /// A run that a request found broken showed no end: let the request try it again.
    Doubt,
}

/// What a daemon that takes over finds of the run that was remembered last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Its first process, which is proven to be it. It may not have been ready yet.
    Alive(RunId),
    /// Its first process ended meanwhile; others of its tree may be left.
    Ended(RunId, Ended),
    /// No run had a process.
    Nothing,
    /// A process that can't be proven to be it, for this reason: it is left alone, and nothing is started beside it.
    Refused(String),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A daemon took over; comes first or never.
    Resumed(Found),
    /// A start was asked for, by anyone but a request.
    Start(Cause),
    /// A request waits. `failed` is the run it found broken.
    Wake {
        /// The run that refused or cut the request's connection.
        failed: Option<RunId>,
    },
    /// A restart by hand.
    Restart,
    /// The configuration says something else of it, which the step's policy has already.
    Reconfigured {
        /// Why what runs is to be replaced, for people; `None`: it can go on.
        restart: Option<String>,
    },
    /// A stop.
    Stop(Stop),
    /// Whatever grace a run has left is cut.
    Hurry,
    /// A start permit was granted.
    Permit,
    /// The process exists.
    Launched(RunId),
    /// No process came to exist.
    LaunchFailed {
        /// The run it would have been.
        run: RunId,
        /// For people.
        words: String,
        /// Trying again without a change outside can't help: the command does not exist.
        permanent: bool,
    },
    /// It accepts, and its first check passed.
    Ready(RunId),
    /// The main process ended. Others of its tree may be left.
    Exited(RunId, Ended),
    /// Nothing of the tree is left.
    Gone(RunId),
    /// A health check ended.
    Checked {
        /// The run that was checked.
        run: RunId,
        /// `None` when it passed, else why not.
        failure: Option<String>,
    },
    /// A health check of a run could not be done, which says nothing about it.
    Unchecked(RunId),
    /// Where a run accepts is not there any more, so nobody can reach it.
    Vanished(RunId),
    /// A timer rang.
    Rang {
        /// Which.
        timer: Timer,
        /// The generation it was set with.
        generation: u64,
        /// When the last request ended; for [`Timer::Idle`].
        last_active: Millis,
    },
    /// The answer to [`Effect::CloseIfIdle`].
    DoorClosed(bool),
}

/// What has to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask for a start permit; [`Event::Permit`] answers.
    RequestPermit,
    /// Take back the request for a permit, or the permit.
    ReleasePermit,
    /// Start a process; [`Event::Launched`] or [`Event::LaunchFailed`] answers, then [`Event::Ready`].
    Launch(RunId),
    /// SIGTERM to the tree.
    Terminate(RunId),
    /// Kill the tree; [`Event::Gone`] answers.
    Kill(RunId),
    /// Let requests in.
    Open(RunId),
    /// Let requests in again, to a run that was up before.
    Reopen(RunId),
    /// Go on waiting until a run is ready that exists already; it holds a permit. [`Event::Ready`] answers.
    Await(RunId),
    /// Close the door if nobody is inside; [`Event::DoorClosed`] answers, before any other event.
    CloseIfIdle,
    /// Close the door.
    Close,
    /// Let in who waits, but for those that found this run broken, unless `doubters`.
    Admit {
        /// The run they are let in to.
        run: RunId,
        /// Whether those come along that found this very run broken.
        doubters: bool,
    },
    /// Tell all who wait, and all who asked for the start.
    Refuse(WakeRefusal),
    /// Ring at a time.
    Set {
        /// Which.
        timer: Timer,
        /// To be given back.
        generation: u64,
        /// When.
        at: Millis,
    },
    /// Do a health check; [`Event::Checked`] answers.
    Check(RunId),
    /// Nothing is left to do: drop everything about it.
    Forgotten,
}

impl Effect {
    pub(super) fn refuse(reason: impl Into<String>, retry_after: Duration) -> Self {
        Self::Refuse(WakeRefusal::Unavailable { reason: reason.into(), retry_after })
    }

    /// It did not come up, or did not stay up, while a request waited.
    pub(super) fn failed(reason: impl Into<String>, retry_after: Duration) -> Self {
        Self::Refuse(WakeRefusal::Failed { reason: reason.into(), retry_after, tried: true })
    }

    /// It did so before.
    pub(super) fn down(reason: impl Into<String>, retry_after: Duration) -> Self {
        Self::Refuse(WakeRefusal::Failed { reason: reason.into(), retry_after, tried: false })
    }
}
