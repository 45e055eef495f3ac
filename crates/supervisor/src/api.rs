//! What others may ask of the supervisor, and what it asks of them.

use std::{collections::BTreeMap, io, os::fd::OwnedFd, pin::Pin};

use serde::{Deserialize, Serialize};

use tenement_core::{
    history::{ExitCause, Transition},
    name::{InstanceName, ServiceName},
    slot::RunId,
    time::WallMillis,
    view::{CheckCounts, Status},
};

/// A future that owns what it needs.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// What is remembered of an instance over restarts of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whose record it is.
    pub name: InstanceName,
    /// Its own environment, over the service's.
    pub env: BTreeMap<String, String>,
    /// What it should be.
    pub desired: Desired,
    /// When it became known.
    pub created_at: WallMillis,
}

/// What an instance should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// Running, or asleep until a request comes.
    Up,
    /// Stopped by hand.
    Stopped,
}

/// An instance that is about to be forgotten, and what is erased of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Which.
    pub name: InstanceName,
    /// Its data directory.
    pub data: bool,
    /// Everything it ever printed, with whatever else is kept of it.
    pub logs: bool,
}

/// Keeps records so that they survive a power cut. Called off the loop, may block.
///
/// An instance is forgotten in two steps, so that a power cut in between leaves nothing that nobody knows of:
/// [`leave`](Self::leave), then what it says is erased, then [`forget`](Self::forget). What was left is erased at the
/// next start, by [`finish_leaving`](crate::finish_leaving).
pub trait Registry: Send + Sync + 'static {
    /// Writes a record, and takes back that it was leaving; durable when it returns.
    ///
    /// # Errors
    /// It may or may not be written.
    fn save(&self, record: &Record) -> Result<(), StorageError>;
    /// Writes many records at once, all or none; durable when it returns.
    ///
    /// # Errors
    /// They may or may not be written.
    fn save_all(&self, records: &[Record]) -> Result<(), StorageError> {
        records.iter().try_for_each(|record| self.save(record))
    }
    /// Writes down that an instance is leaving, and what is about to be erased of it; that it is stopped, if it has a
    /// record; durable when it returns. What was written before of the same one no longer counts.
    ///
    /// # Errors
    /// It may or may not be written; nothing may be erased.
    fn leave(&self, leaving: &Leaving) -> Result<(), StorageError>;
    /// Removes an instance's record, and that it was leaving, at once; durable when it returns. If its logs went too,
    /// nothing that was for it alone is left, such as tokens.
    ///
    /// # Errors
    /// It is still leaving, or gone.
    fn forget(&self, name: &InstanceName) -> Result<(), StorageError>;
}

/// What is wrong with the place where something was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageFault {
    /// It is full, or as much as this user may have is.
    Full,
    /// It does not do what it should, or can't be written any more.
    Failing,
    /// Something else.
    Other,
}

/// Something could not be kept, or erased.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct StorageError {
    /// What is wrong there.
    pub fault: StorageFault,
    /// For people.
    pub words: String,
}

impl StorageError {
    /// `what` could not be done, such as "its data could not be removed".
    #[must_use]
    pub fn of_io(what: &str, error: &io::Error) -> Self {
        let fault = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageFault::Full,
            io::ErrorKind::ReadOnlyFilesystem => StorageFault::Failing,
            _ if error.raw_os_error() == Some(EIO) => StorageFault::Failing,
            _ => StorageFault::Other,
        };
        Self { fault, words: format!("{what}: {error}") }
    }
}

/// errno(3), on Linux; the standard library has no word for it.
const EIO: i32 = 5;

/// Takes what an instance prints.
pub trait Output: Send + Sync + 'static {
    /// Pipes for stdout and stderr of a new process; reading begins at once. Called off the loop, may block.
    ///
    /// # Errors
    /// The pipes could not be made.
    fn attach(&self, name: &InstanceName, run: RunId) -> std::io::Result<[OwnedFd; 2]>;
    /// Goes on reading the pipes of a run of an earlier daemon, whose process may have ended. May block.
    ///
    /// # Errors
    /// The pipes are not there.
    fn adopt(&self, _name: &InstanceName, _run: RunId) -> std::io::Result<()> {
        Ok(())
    }
    /// Reads on what processes print that were not taken on. May block.
    fn resume(&self) {}
    /// Takes what is left in the pipes and closes them; for after the last process of the run is gone.
    fn detach(&self, name: &InstanceName, run: RunId) -> BoxFuture<()>;
    /// The last lines its last run printed, oldest first. May block.
    fn last_lines(&self, name: &InstanceName, lines: usize) -> Vec<String>;
    /// Removes what only its runs needed; nothing of what it printed. May block.
    fn forget(&self, _name: &InstanceName) {}
    /// Whether something is kept of what it ever printed. May block.
    fn keeps(&self, _name: &InstanceName) -> bool {
        false
    }
    /// Erases everything it ever printed, and what is kept of that. May block.
    ///
    /// # Errors
    /// Something could not be erased.
    fn purge(&self, name: &InstanceName) -> std::io::Result<()>;
}

/// Is told what happens. Called on the loop: must not block.
pub trait Observer: Send + Sync + 'static {
    /// An instance's status changed.
    fn changed(&self, transition: &Transition);
}

/// Nobody is told.
impl Observer for () {
    fn changed(&self, _transition: &Transition) {}
}

/// How a stop by hand ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Stays known as `stopped`.
    Keep,
    /// Is forgotten; its data stays unless the service says otherwise.
    Forget,
    /// Is forgotten with its data and its logs. Of one that is not known, what is left of those goes.
    Purge,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such service in the configuration.
    #[error("Service '{0}' is not in the configuration")]
    UnknownService(ServiceName),
    /// No such instance.
    #[error("Instance '{0}' not found")]
    NotFound(InstanceName),
    /// It is running or about to.
    #[error("Instance '{name}' is already {status}")]
    Conflict {
        /// Which.
        name: InstanceName,
        /// What it is.
        status: Status,
    },
    /// The configuration does not allow it (socket path too long or taken, `max_instances` reached).
    #[error("{0}")]
    Refused(String),
    /// It was started and did not become ready. What was started is gone again.
    #[error("Instance '{name}' did not start: {reason}")]
    StartFailed {
        /// Which.
        name: InstanceName,
        /// Exit status and the last lines of its log.
        reason: String,
        /// Its command does not exist.
        command_not_found: bool,
        /// It was not ready within its `startup_timeout`.
        timed_out: bool,
    },
    /// The daemon is ending.
    #[error("tenement is shutting down")]
    ShuttingDown,
    /// Another daemon takes over; nothing was changed.
    #[error("another tenement is taking over: try again in a moment")]
    HandedOver,
    /// Another daemon takes over, and finishes what was begun.
    #[error("another tenement is taking over, and goes on with '{0}': see what becomes of it with 'ten ps'")]
    GoesOn(InstanceName),
    /// The record could not be written, or something that was to go not be erased. What it was before, it is still, or
    /// it is stopped.
    #[error("the state could not be saved: {0}")]
    Storage(StorageError),
}

/// What a configuration does to the instances there are, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconfigured {
    /// What runs and is started in another way now, with the reason.
    pub restarts: Vec<(InstanceName, String)>,
    /// What is started without being asked for, as at boot.
    pub starts: Vec<InstanceName>,
    /// Instances whose service is not there any more: what runs of them is ended, their records are kept.
    pub ends: Vec<InstanceName>,
}

/// Totals over all instances since the daemon started, for metrics.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Successful starts (spawn, wake, restart) by service.
    pub starts: BTreeMap<ServiceName, u64>,
    /// Starts that did not lead to a running instance, by service.
    pub failed_starts: BTreeMap<ServiceName, u64>,
    /// Restarts by hand, after a crash or failed checks, by service.
    pub restarts: BTreeMap<ServiceName, u64>,
    /// How runs ended, by service.
    pub exits: BTreeMap<ServiceName, BTreeMap<ExitCause, u64>>,
    /// Results of health checks by service; start-up probes don't count.
    pub checks: BTreeMap<ServiceName, CheckCounts>,
    /// Panics that were caught.
    pub panics: u64,
}
