//! What the loop keeps of one instance.

use std::{collections::VecDeque, io, path::PathBuf, sync::Arc, time::Instant};

use tenement_core::{
    config::Service,
    history::{Actor, Cause, ExitStatus},
    lifecycle::{Lifecycle, Policy},
    slot::{Address, RunId, Slot, Upstream},
    time::{Millis, WallMillis},
    view::{InstanceView, Status, Woken},
    wake::WakeRefusal,
};
use tenement_runtime::process::Process;
use tokio::sync::oneshot;

use super::message::Command;
use crate::{
    api::{CommandError, Leaving, Record, StopMode},
    launch::Reservation,
};

/// A request that waits to be let in.
pub(super) struct Waiter {
    /// The run it found broken.
    pub(super) failed: Option<RunId>,
    pub(super) reply: oneshot::Sender<Result<(), WakeRefusal>>,
}

/// The command being carried out, up to where its change is durable.
pub(super) enum Busy {
    /// The record is being written; then the start follows, or a restart where that is wanted of one that runs.
    Starting { wait: bool, again: bool, reply: oneshot::Sender<Result<InstanceView, CommandError>> },
    /// The record is being written; then the restart follows.
    Restarting { reply: oneshot::Sender<Result<InstanceView, CommandError>> },
    /// That it is to end is being written down; then its processes are ended, and what goes of it is erased.
    Stopping { mode: StopMode, reply: oneshot::Sender<Result<(), CommandError>>, stage: Stage },
}

/// How far a stop by hand is.
pub(super) enum Stage {
    /// It is being written down. Nothing else has changed.
    Noting(Option<Leaving>),
    /// Its processes are being ended. What is written down of what goes, if that is certain.
    Ending(Option<Leaving>),
    /// What goes of it is being erased.
    Erasing,
}

/// What a process was started by.
pub(super) struct Launched {
    /// All that matters of it: [`launch_text`](tenement_core::config::launch_text).
    pub(super) text: String,
    /// Not known of what an earlier daemon started.
    pub(super) service: Option<Arc<Service>>,
}

pub(super) struct Entry {
    pub(super) slot: Arc<Slot>,
    pub(super) policy: Policy,
    pub(super) life: Lifecycle,
    pub(super) record: Record,
    pub(super) socket: PathBuf,
    /// Whether the registry has its record. Until then no route leads to it.
    pub(super) known: bool,
    /// Whether it is certain that what the registry has is `record`.
    pub(super) written: bool,
    pub(super) process: Option<Process>,
    pub(super) reservation: Option<Arc<Reservation>>,
    pub(super) upstream: Option<Upstream>,
    pub(super) waiters: Vec<Waiter>,
    /// Who asked for a start by hand and waits for its end.
    pub(super) starters: Vec<oneshot::Sender<Result<InstanceView, CommandError>>>,
    /// Why that start failed; they are told when nothing of it is left.
    pub(super) start_error: Option<String>,
    pub(super) busy: Option<Busy>,
    pub(super) queue: VecDeque<(Command, Option<Actor>)>,
    /// Who gave the last command.
    pub(super) actor: Option<Actor>,
    /// The request that was about to wake it last.
    pub(super) woken_by: Option<String>,
    /// How the last run's first process ended; nothing while one is being started or runs.
    pub(super) exit: Option<ExitStatus>,
    /// Why the last run was ended, if it did not end by itself.
    pub(super) ended_by: Option<Cause>,
    /// When the stage of a wake that it is in began.
    pub(super) stage_since: Option<Instant>,
    /// Since when it is what it is.
    pub(super) since: Millis,
    /// When a request that found it asleep was last let in, and how long that took.
    pub(super) woken: Option<Woken>,
    /// Since when a request waits for the start under way.
    pub(super) waking_since: Option<Millis>,
    pub(super) last_check: Option<WallMillis>,
    pub(super) command_not_found: bool,
    /// The last start was given up because it took too long.
    pub(super) timed_out: bool,
    /// The service as its last process was started.
    pub(super) launched: Option<Launched>,
    /// Its service is not in the configuration any more: no route leads to it, and it goes.
    pub(super) leaving: bool,
}

impl Entry {
    pub(super) fn view(&self, now: Millis) -> InstanceView {
        let up_since = self.life.up_since();
        let port = self.upstream.as_ref().and_then(|upstream| match upstream.address {
            Address::Tcp(port) => Some(port),
            Address::Unix(_) => None,
        });
        InstanceView {
            name: self.record.name.clone(),
            status: self.life.status(),
            health: self.life.health(),
            reason: self.life.reason().map(str::to_owned),
            socket: self.socket.clone(),
            port: port.filter(|_| up_since.is_some()),
            pid: self.process.as_ref().map(Process::pid),
            uptime_ms: up_since
                .map_or(0, |since| u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX)),
            restart_count: self.life.restarts(),
            since: self.since,
            woken: self.woken,
            created_at: self.record.created_at,
            last_health_check: self.last_check,
            checks: self.life.check_counts(),
        }
    }

    /// Whether the socket on which it accepts is not there any more.
    pub(super) fn has_vanished(&self) -> bool {
        self.upstream.as_ref().is_some_and(|upstream| match &upstream.address {
            Address::Unix(path) => {
                path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
            }
            Address::Tcp(_) => false,
        })
    }

    /// Whether a start by hand has something to start.
    pub(super) fn can_be_spawned(&self) -> bool {
        matches!(self.life.status(), Status::Sleeping | Status::Stopped | Status::Failed | Status::Stopping)
    }

    pub(super) fn answer_starters(&mut self, answer: &Result<InstanceView, CommandError>) {
        for starter in self.starters.drain(..) {
            let _ = starter.send(answer.clone());
        }
    }

    /// Lets in who waits, but for those that found `run` broken, unless `doubters`.
    pub(super) fn admit(&mut self, run: RunId, doubters: bool) {
        let (stay, go) = self.waiters.drain(..).partition(|waiter| !doubters && waiter.failed == Some(run));
        self.waiters = stay;
        for waiter in go {
            let _: Result<_, _> = waiter.reply.send(Ok(()));
        }
    }

    pub(super) fn refuse(&mut self, refusal: &WakeRefusal) {
        for waiter in self.waiters.drain(..) {
            let _ = waiter.reply.send(Err(refusal.clone()));
        }
    }
}
