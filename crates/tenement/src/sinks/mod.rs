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

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tenement_core::{
    config::{Config, LogSink, SinkFrom, SinkKind},
    name::{InstanceName, ServiceName},
};
use tenement_logs::{LogLine, LogStore};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle, time::timeout};

use crate::{
    damage::{self, Loss},
    room,
};

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
    /// Ends its task, once there is one.
    ending: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// All sinks of a configuration.
#[derive(Debug)]
pub struct Sinks {
    entries: Mutex<Vec<Arc<Entry>>>,
    places: Arc<Places>,
    data_dir: String,
}

/// The sinks of another configuration, ready to take the place of those at work.
#[derive(Debug)]
pub struct Prepared(Vec<Arc<Entry>>);

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
        places::check(path)?;
        Ok((Self::open(path, config, data_dir, logs)?, loss))
    }

    /// Opens what says how far each has come, in the file at `path`. What sinks that are no longer there had kept
    /// is forgotten; one that is new begins with what comes from here on, or with all that is there.
    ///
    /// # Errors
    /// It can't be read or made.
    pub fn open(path: &Path, config: &Config, data_dir: &Path, logs: &LogStore) -> Result<Self, PlacesError> {
        let entries = configured(config, &[]);
        let keys = entries.iter().map(|entry| entry.state.key.clone());
        let places = Arc::new(Places::open(path, keys.collect())?);
        let sinks =
            Self { entries: Mutex::default(), places, data_dir: data_dir.to_string_lossy().into_owned() };
        match sinks.place(&entries, logs) {
            // In memory they begin.
            Err(PlacesError::Sql(error)) if room::is_full(&error, path) => {}
            placed => placed?,
        }
        *sinks.entries() = entries;
        Ok(sinks)
    }

    /// Whether this program knows the format of a file of places; one that is missing it knows.
    ///
    /// # Errors
    /// [`PlacesError::Newer`], or it can't be read.
    pub fn check(path: &Path) -> Result<(), PlacesError> {
        places::check(path)
    }

    /// From now on another process has the file too.
    pub(crate) fn hand_over(&self) {
        self.places.hand_over();
    }

    /// Makes good what there was no room for, if there is now.
    pub(crate) fn recover(&self) {
        self.places.recover();
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says where those begin that never did.
    fn place(&self, entries: &[Arc<Entry>], logs: &LogStore) -> Result<(), PlacesError> {
        let begin = |entry: &Arc<Entry>| {
            self.places.begin(&entry.state.key, || match entry.config.from {
                SinkFrom::Now => {
                    logs.ends().into_iter().filter(|(name, _)| entry.state.takes(name)).collect()
                }
                SinkFrom::Oldest => BTreeMap::new(),
            })
        };
        // All of them, also when one can't be kept.
        let begun: Vec<_> = entries.iter().map(begin).collect();
        begun.into_iter().collect()
    }

    /// Begins to deliver, on the current runtime.
    #[must_use]
    pub fn begin(self: &Arc<Self>, logs: &LogStore) -> Running {
        for entry in self.entries().iter() {
            self.start(entry, None, logs);
        }
        Running(Arc::clone(self))
    }

    /// `before`: a task that keeps the same place has to end first.
    fn start(&self, entry: &Arc<Entry>, before: Option<JoinHandle<()>>, logs: &LogStore) {
        let task = Task {
            config: entry.config.clone(),
            state: Arc::clone(&entry.state),
            places: Arc::clone(&self.places),
            logs: logs.clone(),
            data_dir: self.data_dir.clone(),
        };
        let ending = entry.ending.subscribe();
        let task = Handle::current().spawn(async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            task.run(ending).await;
        });
        *entry.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// The sinks of another configuration. Those that stay the same go on; one that is new begins here, even if it is
    /// never switched to. Blocks on the disk.
    ///
    /// # Errors
    /// Where one begins can't be kept.
    pub fn prepare(&self, config: &Config, logs: &LogStore) -> Result<Prepared, PlacesError> {
        let entries = configured(config, &self.entries());
        self.place(&entries, logs)?;
        Ok(Prepared(entries))
    }

    /// Lets them take the place of those at work, which deliver what can be delivered at once; on the current runtime.
    /// Places of sinks that are gone are kept until the daemon ends.
    pub fn switch(&self, Prepared(entries): Prepared, logs: &LogStore) {
        let mut at_work = self.entries();
        let old = std::mem::replace(&mut *at_work, entries);
        let new = |entry: &&Arc<Entry>| !old.iter().any(|old| Arc::ptr_eq(old, entry));
        let gone = old.iter().filter(|old| !at_work.iter().any(|entry| Arc::ptr_eq(old, entry)));
        let mut before: BTreeMap<&str, JoinHandle<()>> = BTreeMap::new();
        for entry in gone {
            entry.ending.send_replace(true);
            before.extend(entry.take_task().map(|task| (entry.state.key.as_str(), task)));
        }
        for entry in at_work.iter().filter(new) {
            self.start(entry, before.remove(entry.state.key.as_str()), logs);
        }
    }

    /// Everything an instance wrote was erased.
    pub fn forget(&self, name: &InstanceName) {
        if let Err(error) = self.places.forget(name) {
            tracing::warn!(instance = %name, %error, "its place in the log sinks could not be forgotten");
        }
    }

    /// How each is. Blocks on the disk.
    pub(crate) fn look(&self, logs: &LogStore) -> Vec<Seen> {
        let (ends, entries) = (logs.ends(), self.entries().clone());
        entries
            .iter()
            .map(|entry| {
                let waiting = self.places.waiting(&entry.state, &ends);
                entry.state.seen(waiting)
            })
            .collect()
    }
}

impl Entry {
    fn take_task(&self) -> Option<JoinHandle<()>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The sinks of a configuration; those of `at_work` that it has too are kept.
fn configured(config: &Config, at_work: &[Arc<Entry>]) -> Vec<Arc<Entry>> {
    let entry = |service: Option<&ServiceName>, sink: &LogSink| {
        let same = at_work.iter().find(|one| one.state.service.as_ref() == service && one.config == *sink);
        same.map_or_else(
            || {
                Arc::new(Entry {
                    config: sink.clone(),
                    state: Arc::new(State::new(service.cloned(), sink)),
                    ending: watch::Sender::new(false),
                    task: Mutex::default(),
                })
            },
            Arc::clone,
        )
    };
    let of_all = config.settings.log_sinks.iter().map(|sink| entry(None, sink));
    let of_services = config
        .services
        .iter()
        .flat_map(|(name, service)| service.log_sinks.iter().map(move |sink| entry(Some(name), sink)));
    of_all.chain(of_services).collect()
}

/// Sinks at work. Dropping it leaves what was not delivered to the next daemon.
#[derive(Debug)]
pub struct Running(Arc<Sinks>);

impl Running {
    /// Delivers what can be delivered at once.
    pub async fn end(self) {
        let entries = self.0.entries().clone();
        for entry in &entries {
            entry.ending.send_replace(true);
        }
        let tasks: Vec<_> = entries.iter().filter_map(|entry| entry.take_task()).collect();
        let all = async {
            for task in tasks {
                let _ = task.await;
            }
        };
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
