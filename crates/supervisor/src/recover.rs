//! Taking on what an earlier daemon has left running.
//!
//! ```text
//!   Runs ── remembered ──► Host::recover ──┬─► Running ─┐
//!                                          ├─► Ended ───┼─► its pipes are read on ─► Survivor ─► the loop
//!                                          └─► refused ─┘
//!   what nobody remembers ─┬─► says whose it is, and configuration and state agree ─► Running
//!                          └─► ended
//! ```
//!
//! What nobody remembers is of a start that was cut short; or there was no room to write it down; or what was written is lost.
//!
//! What is remembered concerns running processes alone: it outlives the daemon, not the host, so nothing waits for a disk.

use std::{collections::BTreeMap, io, path::PathBuf};

use serde::{Deserialize, Serialize};
use tenement_core::{
    config::{Config, launch_text},
    lifecycle::Lifecycle,
    name::InstanceName,
    slot::{Address, RunId},
    time::{Millis, WallMillis},
};
use tenement_runtime::process::{AdoptError, Handle, Host, Process, Proof, Recovered};

use crate::{
    api::{Desired, Leaving, Output, Record},
    launch::{Facts, socket_path},
};

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
/// cut: no process does. What can't be written now is written later, and no reason not to serve.
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

/// What is known when processes are looked for.
pub struct Known<'a> {
    /// What is configured.
    pub config: &'a Config,
    /// What was promised.
    pub records: &'a [Record],
    /// What is remembered.
    pub remembered: BTreeMap<InstanceName, Remembered>,
    /// What is being deleted, and may still run.
    pub leaving: Vec<Leaving>,
}

/// Finds the processes of what is remembered, reads on what they print, takes on those that nobody remembers and that say
/// themselves whose they are, and ends the others. Those are remembered from now on.
///
/// # Errors
/// Processes could not be ended.
pub async fn recover(
    host: &Host,
    output: &dyn Output,
    runs: &dyn Runs,
    known: Known<'_>,
) -> io::Result<Survivors> {
    let Known { config, records, remembered, leaving } = known;
    let mut survivors = BTreeMap::new();
    let (mut handles, mut ended) = (Vec::new(), Vec::new());
    for (name, Remembered { life, run }) in remembered {
        let found = run.and_then(|run| {
            let left = find(host, &name, &run)?;
            let of = if let Left::Ended(_) = left { &mut ended } else { &mut handles };
            of.push(run.handle.clone());
            Some((run, left))
        });
        survivors.insert(name, Survivor { life, found, leaving: None });
    }
    for one in leaving {
        if let Some(survivor) = survivors.get_mut(&one.name) {
            survivor.leaving = Some(one);
        }
    }
    let mut unknown = host.unknown(&handles)?;
    // The last run of an instance first.
    unknown.sort_by_key(|one| std::cmp::Reverse(one.proof.as_ref().map(|proof| proof.handle.run)));
    let (mut others, mut left_over) = (Vec::new(), Vec::new());
    for one in unknown {
        let whole = one.proof.as_ref().and_then(|proof| whole(config, records, &survivors, proof));
        let taken = whole.and_then(|(name, run)| match host.recover(&run.handle) {
            Ok(Recovered::Running(process)) => Some((name, run, process)),
            _ => None,
        });
        let Some((name, run, process)) = taken else {
            // What one has left that has ended is ended with it.
            if !ended.iter().any(|handle| one.is_in_place_of(handle)) {
                others.push(one);
            }
            continue;
        };
        tracing::warn!(instance = %name, pid = process.pid(), "of a process nothing was written down; it says whose it is");
        runs.launched(&name, &run);
        let survivor = survivors.entry(name).or_insert(Survivor { life: None, found: None, leaving: None });
        if let Some((run, Left::Ended(before))) = survivor.found.replace((run, Left::Running(process)))
            && !one.is_in_place_of(&run.handle)
        {
            left_over.push(before);
        }
    }
    for (name, survivor) in &survivors {
        if let Some((run, Left::Running(_) | Left::Ended(_))) = &survivor.found
            && let Err(error) = output.adopt(name, RunId(run.handle.run))
        {
            tracing::warn!(instance = %name, %error, "what it prints can't be read");
        }
    }
    output.resume();
    for process in left_over {
        process.kill_tree().await;
    }
    host.end_unknown(&others).await?;
    Ok(Survivors(survivors))
}

/// Whose process it is, and what was to be remembered of it, if that is to run, has no other process, and would be started in
/// the same place.
fn whole(
    config: &Config,
    records: &[Record],
    survivors: &BTreeMap<InstanceName, Survivor>,
    proof: &Proof,
) -> Option<(InstanceName, Run)> {
    let name: InstanceName = proof.env.get("TENEMENT_INSTANCE")?.parse().ok()?;
    let service = config.services.get(&name.service)?;
    let env = match records.iter().find(|record| record.name == name) {
        Some(record) if record.desired == Desired::Up => record.env.clone(),
        None if config.instances.contains(&name) => BTreeMap::new(),
        _ => return None,
    };
    if let Some(Survivor { life, found, .. }) = survivors.get(&name) {
        let leaves = life.as_ref().is_some_and(|life| life.state.is_going_for_good());
        let is_as_late = |run: &Run| run.handle.run >= proof.handle.run;
        let has_another = match found {
            Some((_, Left::Running(_) | Left::Refused(_))) => true,
            Some((run, Left::Ended(_))) => is_as_late(run),
            None => false,
        };
        if leaves || has_another {
            return None;
        }
    }
    let data_dir = &config.settings.data_dir;
    let socket = socket_path(data_dir, &name, service);
    let port = proof.env.get("PORT")?.parse().ok()?;
    let facts = Facts { name: &name, service, data_dir, socket: &socket, port, env: &env };
    let carries = |key: &str, value: &str| proof.env.get(key).is_some_and(|carried| carried == value);
    let (mut same_place, mut same) = (true, true);
    for (key, value) in facts.env(&[]) {
        let is_so = carries(&key, &value);
        same &= is_so;
        same_place &= is_so || !["SOCKET_PATH", "DATA_DIR"].contains(&key.as_str());
    }
    let run = Run {
        handle: proof.handle.clone(),
        port,
        // What it was started by is not known; with another environment it was something else, and it is restarted.
        launched_with: if same { launch_text(service) } else { String::new() },
        listener_made_by: proof.env.contains_key("LISTEN_FDS").then_some(proof.started_by),
        socket,
    };
    same_place.then_some((name, run))
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
