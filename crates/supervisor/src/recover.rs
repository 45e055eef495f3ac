//! Taking on what an earlier daemon has left running.
//!
//! ```text
//!   Runs ── remembered ──► Host::recover ──┬─► Running ─┐
//!                                          ├─► Ended ───┼─► its pipes are read on ─► Survivor ─► the loop
//!                                          └─► refused ─┘
//!   what nobody remembers ─► ended
//! ```
//!
//! What is remembered concerns running processes alone: it outlives the daemon, not the host, so nothing waits for a disk.

use std::{collections::BTreeMap, io, path::PathBuf};

use serde::{Deserialize, Serialize};
use tenement_core::{
    lifecycle::Lifecycle,
    name::InstanceName,
    slot::{Address, RunId},
    time::{Millis, WallMillis},
};
use tenement_runtime::process::{AdoptError, Handle, Host, Process, Recovered};

use crate::api::{Leaving, Output, Record};

/// Where an instance is in its life, and what goes with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Life {
    /// The state.
    pub state: Lifecycle,
    /// Since when it has the status that it has.
    pub since: Millis,
    /// When its last request ended.
    pub last_active: Millis,
    /// When its last health check ended.
    pub last_check: Option<WallMillis>,
    /// Where it accepts, since it was ready.
    pub address: Option<Address>,
    /// Its record, for when the registry has lost it.
    pub record: Record,
    /// It is being deleted with its data and its logs.
    #[serde(default)]
    pub purge: bool,
}

/// What a process was started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The process.
    pub handle: Handle,
    /// The port it was given.
    pub port: u16,
    /// The socket path it was given.
    pub socket: PathBuf,
    /// What it was started by, for when the configuration is another one: [`launch_text`](tenement_core::config::launch_text).
    pub launched_with: String,
    /// The daemon that made its listening socket, if it was given one.
    pub listener_made_by: Option<u32>,
}

/// What is remembered of one instance.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// Its life.
    pub life: Option<Life>,
    /// Its last process.
    pub run: Option<Run>,
}

/// Remembers lives and processes as long as the host is up, over kills of the daemon. Nothing of it needs to survive a power
/// cut: no process does. What can't be written is lost to the next daemon, and no reason not to serve.
pub trait Runs: Send + Sync + 'static {
    /// Notes a process; written when it returns. May block shortly.
    fn launched(&self, _name: &InstanceName, _run: &Run) {}
    /// Notes a life; written soon. Does not block.
    fn changed(&self, _name: &InstanceName, _life: Life) {}
    /// Returns when everything is written that was noted. May block shortly.
    fn flush(&self) {}
    /// Forgets the process of a run; written soon. Does not block.
    fn gone(&self, _name: &InstanceName, _run: RunId) {}
    /// Forgets all of an instance; written when it returns. May block shortly.
    fn forget(&self, _name: &InstanceName) {}
}

/// Nothing is remembered.
impl Runs for () {}

/// What is left of an instance.
pub(crate) struct Survivor {
    pub(crate) life: Option<Life>,
    pub(crate) found: Option<(Run, Left)>,
    /// What was about to be erased of it.
    pub(crate) leaving: Option<Leaving>,
}

/// What is left of its process.
pub(crate) enum Left {
    Running(Process),
    Ended(Process),
    /// It is not certain what it is, so it is left alone.
    Refused(String),
}

/// All that was found.
#[derive(Default)]
pub struct Survivors(pub(crate) BTreeMap<InstanceName, Survivor>);

/// Finds the processes of what is remembered, reads on what they print, and ends those of starts that were cut short.
/// `leaving`: those that are being deleted, and may still run.
///
/// # Errors
/// Such processes could not be ended.
pub async fn recover(
    host: &Host,
    output: &dyn Output,
    remembered: BTreeMap<InstanceName, Remembered>,
    leaving: Vec<Leaving>,
) -> io::Result<Survivors> {
    let mut survivors = BTreeMap::new();
    let mut known = Vec::new();
    for (name, Remembered { life, run }) in remembered {
        let found = run.and_then(|run| {
            let left = find(host, &name, &run)?;
            known.push(run.handle.clone());
            if let Left::Running(_) | Left::Ended(_) = left
                && let Err(error) = output.adopt(&name, RunId(run.handle.run))
            {
                tracing::warn!(instance = %name, %error, "what it prints can't be read");
            }
            Some((run, left))
        });
        survivors.insert(name, Survivor { life, found, leaving: None });
    }
    for one in leaving {
        if let Some(survivor) = survivors.get_mut(&one.name) {
            survivor.leaving = Some(one);
        }
    }
    output.resume();
    host.end_unknown(&known).await?;
    Ok(Survivors(survivors))
}

fn find(host: &Host, name: &InstanceName, run: &Run) -> Option<Left> {
    match host.recover(&run.handle) {
        Ok(Recovered::Running(process)) => Some(Left::Running(process)),
        Ok(Recovered::Ended(process)) => Some(Left::Ended(process)),
        // Those of another host, if the directory was copied, or those of the one that it was copied from.
        Err(AdoptError::OtherBoot | AdoptError::OtherPlace) => None,
        Err(error) => {
            tracing::error!(instance = %name, %error, "a process of before is not taken on and left alone");
            Some(Left::Refused(error.to_string()))
        }
    }
}
