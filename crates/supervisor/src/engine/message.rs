//! What comes to the loop.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use tenement_core::{
    config::Config,
    history::Actor,
    lifecycle::Event,
    name::InstanceName,
    slot::{RunId, Upstream},
    view::InstanceView,
    wake::WakeRefusal,
};
use tenement_runtime::process::Process;
use tokio::sync::{Notify, oneshot};

use crate::{
    api::{CommandError, Reconfigured, Record, StopMode, StorageError, Totals},
    launch::Reservation,
    watch::Changed,
};

/// Something for the loop.
pub(crate) enum Message {
    List(oneshot::Sender<Vec<InstanceView>>),
    Get(InstanceName, oneshot::Sender<Option<InstanceView>>),
    /// Of these instances, or of all.
    Processes(Option<Vec<InstanceName>>, oneshot::Sender<Vec<(InstanceName, Process)>>),
    Totals(oneshot::Sender<Totals>),
    /// Somebody follows from now on: their number, and all there are.
    Watch(Weak<Notify>, oneshot::Sender<(u64, Vec<InstanceView>)>),
    /// What changed since the one with this number asked last.
    Changed(u64, oneshot::Sender<Vec<Changed>>),
    Command {
        name: InstanceName,
        command: Command,
        actor: Option<Actor>,
    },
    Wake {
        name: InstanceName,
        failed: Option<RunId>,
        by: Option<String>,
        reply: oneshot::Sender<Result<(), WakeRefusal>>,
    },
    /// Put it in force, or only say what that would do.
    Reconfigure {
        config: Arc<Config>,
        dry_run: bool,
        reply: oneshot::Sender<Result<Reconfigured, CommandError>>,
    },
    Shutdown(oneshot::Sender<()>),
    /// Answered when nothing is done any more.
    HandOver(oneshot::Sender<()>),
    Hurry,
    /// What a task found out.
    News(InstanceName, News),
}

/// Of one instance, one at a time: the next begins when the one before is done and durable.
pub(crate) enum Command {
    Spawn {
        env: Option<BTreeMap<String, String>>,
        wait: bool,
        /// One that runs is restarted.
        again: bool,
        reply: oneshot::Sender<Result<InstanceView, CommandError>>,
    },
    Stop {
        mode: StopMode,
        reply: oneshot::Sender<Result<(), CommandError>>,
    },
    Restart {
        reply: oneshot::Sender<Result<InstanceView, CommandError>>,
    },
}

/// What a task found out about an instance.
pub(crate) enum News {
    /// Goes to the lifecycle as it is.
    Event(Event),
    /// A process exists.
    Launched(RunId, Process, Arc<Reservation>),
    /// No process came to exist.
    LaunchFailed { run: RunId, words: String, permanent: bool, command_not_found: bool },
    /// It accepts.
    Ready(RunId, Upstream),
    /// One whose service went has no requests any more, or has had its time.
    Drained,
    /// A record was written, or could not be.
    Saved(Result<Record, StorageError>),
    /// An instance that was forgotten is erased, or could not be.
    Erased(Result<(), StorageError>),
    /// What one that is not known had left is erased, or could not be, or there is nothing.
    RestErased(Result<(), CommandError>),
}
