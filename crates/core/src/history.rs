//! What happens to instances, as it is told afterwards.

use crate::{
    name::InstanceName,
    slot::RunId,
    time::WallMillis,
    view::{Health, Status},
};

/// One change of an instance's status, or something else that happened to it: then `from` is what `to` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: WallMillis,
    /// Whose.
    pub instance: InstanceName,
    /// The start it belongs to; the next one's, before there was any.
    pub run: RunId,
    /// What it was.
    pub from: Status,
    /// What it is now; `None` once it is forgotten.
    pub to: Option<Status>,
    /// What its checks said at that time.
    pub health: Health,
    /// What brought it about.
    pub cause: Cause,
    /// Who asked for it, if somebody did.
    pub actor: Option<Actor>,
    /// Why, in words for people.
    pub reason: Option<String>,
    /// How its first process ended, if it did since it was last started.
    pub exit: Option<ExitStatus>,
    /// For how long it had been what it was, in milliseconds.
    pub lasted_ms: u64,
}

/// What brings a change about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The daemon started.
    Boot,
    /// A request came.
    Request,
    /// A start by hand.
    Start,
    /// A restart by hand.
    Restart,
    /// A stop by hand.
    Stop,
    /// The daemon ends.
    Shutdown,
    /// There was a place among the starts under way.
    Permit,
    /// It accepts, and its first check was good.
    Ready,
    /// It did not get ready.
    StartFailed,
    /// Its first process ended.
    Exit,
    /// Health checks failed.
    Unhealthy,
    /// Nobody used it.
    Idle,
    /// A back-off was over.
    Backoff,
    /// Nothing of its processes is left.
    Gone,
    /// It writes more log lines than it may. Its status does not change.
    LogsOverRate,
    /// The disk has no room for its log lines. Its status does not change.
    LogsDiskFull,
    /// The disk has room for log lines again. Its status does not change.
    LogsDiskRoom,
    /// The configuration was changed.
    Reload,
    /// Its service is not in the configuration any more.
    Removed,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Boot,
        Self::Request,
        Self::Start,
        Self::Restart,
        Self::Stop,
        Self::Shutdown,
        Self::Permit,
        Self::Ready,
        Self::StartFailed,
        Self::Exit,
        Self::Unhealthy,
        Self::Idle,
        Self::Backoff,
        Self::Gone,
        Self::LogsOverRate,
        Self::LogsDiskFull,
        Self::LogsDiskRoom,
        Self::Reload,
        Self::Removed,
    ];

    /// As in the API: `start_failed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Request => "request",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Shutdown => "shutdown",
            Self::Permit => "permit",
            Self::Ready => "ready",
            Self::StartFailed => "start_failed",
            Self::Exit => "exit",
            Self::Unhealthy => "unhealthy",
            Self::Idle => "idle",
            Self::Backoff => "backoff",
            Self::Gone => "gone",
            Self::LogsOverRate => "logs_over_rate",
            Self::LogsDiskFull => "logs_disk_full",
            Self::LogsDiskRoom => "logs_disk_room",
            Self::Reload => "reload",
            Self::Removed => "removed",
        }
    }
}

/// Who asked for something: `local` or a token's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(pub String);

impl Actor {
    /// The machine's own administrator, over the local socket.
    #[must_use]
    pub fn local() -> Self {
        Self("local".to_owned())
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ExitStatus {
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it, as in signal(7).
    pub signal: Option<i32>,
    /// The kernel ended it for want of memory.
    pub oom: bool,
}

/// What ended a run's first process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitCause {
    /// It ended by itself with code 0.
    Success,
    /// It ended by itself with another code.
    Code,
    /// A signal that was not ours.
    Signal,
    /// The kernel, for want of memory.
    Oom,
    /// A stop by hand.
    Stop,
    /// A restart by hand, or for a change of the configuration.
    Restart,
    /// Nobody used it.
    Idle,
    /// Health checks failed.
    Unhealthy,
    /// It did not get ready in time.
    StartFailed,
    /// The end of the daemon.
    Shutdown,
}

impl ExitCause {
    /// All, in order.
    pub const ALL: [Self; 10] = [
        Self::Success,
        Self::Code,
        Self::Signal,
        Self::Oom,
        Self::Stop,
        Self::Restart,
        Self::Idle,
        Self::Unhealthy,
        Self::StartFailed,
        Self::Shutdown,
    ];

    /// As a metric label: `start_failed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Code => "code",
            Self::Signal => "signal",
            Self::Oom => "oom",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Idle => "idle",
            Self::Unhealthy => "unhealthy",
            Self::StartFailed => "start_failed",
            Self::Shutdown => "shutdown",
        }
    }

    /// Of a process that was asked to end because of `cause`, or that ended by itself.
    #[must_use]
    pub fn of(status: &ExitStatus, asked: Option<Cause>) -> Self {
        match (status, asked) {
            (ExitStatus { oom: true, .. }, _) => Self::Oom,
            (_, Some(Cause::Restart | Cause::Reload)) => Self::Restart,
            (_, Some(Cause::Idle)) => Self::Idle,
            (_, Some(Cause::Unhealthy)) => Self::Unhealthy,
            (_, Some(Cause::StartFailed)) => Self::StartFailed,
            (_, Some(Cause::Shutdown)) => Self::Shutdown,
            (_, Some(_)) => Self::Stop,
            (ExitStatus { code: Some(0), .. }, None) => Self::Success,
            (ExitStatus { signal: Some(_), .. }, None) => Self::Signal,
            (_, None) => Self::Code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_has_the_cause_of_whoever_brought_it_about() {
        let code = |code| ExitStatus { code: Some(code), ..ExitStatus::default() };
        let killed = ExitStatus { signal: Some(9), ..ExitStatus::default() };
        assert_eq!(ExitCause::of(&code(0), None), ExitCause::Success);
        assert_eq!(ExitCause::of(&code(3), None), ExitCause::Code);
        assert_eq!(ExitCause::of(&killed, None), ExitCause::Signal);
        assert_eq!(ExitCause::of(&killed, Some(Cause::Stop)), ExitCause::Stop);
        assert_eq!(ExitCause::of(&code(0), Some(Cause::Idle)), ExitCause::Idle);
        assert_eq!(ExitCause::of(&ExitStatus { oom: true, ..killed }, Some(Cause::Idle)), ExitCause::Oom);
    }
}
