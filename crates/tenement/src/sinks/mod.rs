//! Log lines on their way out: to OpenTelemetry collectors, to syslog, to files.
//!
//! ```text
//!   segments ── follower, from the place of each instance ──► a batch ──► Sink::deliver
//!       ▲                                                       ▲             │
//!       │ lines wait here, as long as retention lets them       │             ├── taken, or refused for good:
//!       │                                                       │             │   the place is kept, the next batch
//!       └─────────────────────────── kill -9: from the kept place again       │
//!                                                               └─────────────┴── failed: the same batch again,
//!                                                                                 later and later, for ever
//! ```
//!
//! A place is kept only after what is before it was delivered, so each line is delivered at least once. A sink is a
//! task that reads the store as any other follower does: whoever writes lines never waits for it.

mod file;
mod format;
mod otlp;
mod places;
mod state;
mod syslog;
mod task;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use tenement_core::{
    config::{Config, LogSink, SinkFrom, SinkKind},
    name::{InstanceName, ServiceName},
};
use tenement_logs::{LogLine, LogStore};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::damage::{self, Loss};

pub use self::places::PlacesError;
pub(crate) use self::state::Seen;
use self::{file::Files, otlp::Otlp, places::Places, state::State, syslog::Syslog, task::Task};

/// How long the end of the daemon waits for what can still be delivered.
const FAREWELL: Duration = Duration::from_secs(2);

/// Takes lines.
trait Sink: Send {
    /// Hands lines over, in their order. Blocks, but not for ever.
    fn deliver(&mut self, lines: &[LogLine]) -> Result<Receipt, Failure>;
}

/// Lines were handed over.
#[derive(Debug, Default)]
struct Receipt {
    /// So many of them were refused for good.
    refused: u64,
    /// Why, when somebody is to know.
    why: Option<String>,
}

/// Not all were handed over. The rest is to be tried again.
#[derive(Debug)]
struct Failure {
    /// So many of the first were.
    done: usize,
    /// For people.
    why: String,
    /// Not before this.
    retry_after: Option<Duration>,
}

impl Failure {
    fn new(why: impl Into<String>) -> Self {
        Self { done: 0, why: why.into(), retry_after: None }
    }
}

/// One configured sink.
#[derive(Debug)]
struct Entry {
    config: LogSink,
    state: Arc<State>,
}

/// All sinks of a configuration.
#[derive(Debug)]
pub struct Sinks {
    entries: Vec<Entry>,
    places: Arc<Places>,
    data_dir: String,
}

impl Sinks {
    /// As [`Self::open`]; a file that is damaged is set aside, and every sink begins as a new one does.
    ///
    /// # Errors
    /// It can't be read or made.
    pub fn open_or_anew(
        path: &Path,
        config: &Config,
        data_dir: &Path,
        logs: &LogStore,
    ) -> Result<(Self, Option<Loss>), PlacesError> {
        let unusable = |why| PlacesError::Unusable { path: path.to_owned(), why };
        let loss = damage::set_aside_if_damaged(path).map_err(unusable)?;
        Ok((Self::open(path, config, data_dir, logs)?, loss))
    }

    /// Opens what says how far each has come, in the file at `path`. What sinks that are no longer there had kept
    /// is forgotten; one that is new begins with what comes from here on, or with all that is there.
    ///
    /// # Errors
    /// It can't be read or made.
    pub fn open(path: &Path, config: &Config, data_dir: &Path, logs: &LogStore) -> Result<Self, PlacesError> {
        let entry = |service: Option<&ServiceName>, sink: &LogSink| Entry {
            config: sink.clone(),
            state: Arc::new(State::new(service.cloned(), sink)),
        };
        let mut entries: Vec<Entry> =
            config.settings.log_sinks.iter().map(|sink| entry(None, sink)).collect();
        for (name, service) in &config.services {
            entries.extend(service.log_sinks.iter().map(|sink| entry(Some(name), sink)));
        }
        let keys = entries.iter().map(|entry| entry.state.key.clone());
        let places = Arc::new(Places::open(path, keys.collect())?);
        for Entry { config, state } in &entries {
            places.begin(&state.key, || match config.from {
                SinkFrom::Now => logs.ends().into_iter().filter(|(name, _)| state.takes(name)).collect(),
                SinkFrom::Oldest => BTreeMap::new(),
            })?;
        }
        Ok(Self { entries, places, data_dir: data_dir.to_string_lossy().into_owned() })
    }

    /// Begins to deliver, on the current runtime.
    #[must_use]
    pub fn begin(&self, logs: &LogStore) -> Running {
        let (ending, is_ending) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for entry in &self.entries {
            let task = Task {
                config: entry.config.clone(),
                state: Arc::clone(&entry.state),
                places: Arc::clone(&self.places),
                logs: logs.clone(),
                data_dir: self.data_dir.clone(),
            };
            tasks.spawn(task.run(is_ending.clone()));
        }
        Running { ending, tasks }
    }

    /// Everything an instance wrote was erased.
    pub fn forget(&self, name: &InstanceName) {
        if let Err(error) = self.places.forget(name) {
            tracing::warn!(instance = %name, %error, "its place in the log sinks could not be forgotten");
        }
    }

    /// How each is. Blocks on the disk.
    pub(crate) fn look(&self, logs: &LogStore) -> Vec<Seen> {
        let ends = logs.ends();
        self.entries
            .iter()
            .map(|entry| {
                let waiting = self.places.waiting(&entry.state, &ends);
                entry.state.seen(waiting)
            })
            .collect()
    }
}

/// Sinks at work. Dropping it leaves what was not delivered to the next daemon.
#[derive(Debug)]
pub struct Running {
    ending: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Running {
    /// Delivers what can be delivered at once.
    pub async fn end(mut self) {
        self.ending.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(FAREWELL, all).await.is_err() {
            tracing::info!("what the log sinks have not taken is delivered after the next start");
        }
    }
}

fn sink(config: &LogSink, data_dir: &str) -> Box<dyn Sink> {
    match &config.kind {
        SinkKind::Otlp { endpoint, headers, ca_file, timeout } => {
            Box::new(Otlp::new(endpoint.clone(), headers.clone(), ca_file.clone(), *timeout))
        }
        SinkKind::Syslog { address, facility } => Box::new(Syslog::new(address.clone(), *facility)),
        SinkKind::File { path, format, rotate_size, keep } => Box::new(Files {
            path: path.clone(),
            data_dir: data_dir.to_owned(),
            format: *format,
            rotate_size: *rotate_size,
            keep: *keep,
        }),
    }
}
