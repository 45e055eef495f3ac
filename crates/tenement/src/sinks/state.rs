//! How a sink is: for metrics, the API and the daemon's log.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tenement_core::{
    config::LogSink,
    name::{InstanceName, ServiceName},
    time::WallMillis,
};
use tenement_runtime::clock;

/// Between two lines of the daemon's log about what was refused or dropped.
const QUIET_MS: u64 = 60_000;

/// One sink.
#[derive(Debug)]
pub(super) struct State {
    /// What its places are kept under.
    pub(super) key: String,
    /// Whose lines it takes; `None`: everybody's.
    pub(super) service: Option<ServiceName>,
    name: String,
    kind: &'static str,
    target: String,
    lines: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
    retries: AtomicU64,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    /// Since when it fails.
    failing: Option<WallMillis>,
    error: Option<String>,
    /// When something was last said of each.
    said_refused: u64,
    said_dropped: u64,
}

/// A sink at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) service: Option<ServiceName>,
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) target: String,
    /// Handed over, since the daemon started; those that were refused are not among them.
    pub(crate) lines: u64,
    pub(crate) refused: u64,
    /// Gone before they were delivered.
    pub(crate) dropped: u64,
    pub(crate) retries: u64,
    /// Not delivered yet.
    pub(crate) waiting: u64,
    pub(crate) failing: Option<WallMillis>,
    /// The last one, whether it is over or not.
    pub(crate) error: Option<String>,
}

impl State {
    pub(super) fn new(service: Option<ServiceName>, sink: &LogSink) -> Self {
        let owner = service.as_ref().map_or("*", |name| name.as_str());
        Self {
            key: format!("{owner}/{}", sink.name),
            service,
            name: sink.name.clone(),
            kind: sink.kind.as_str(),
            target: sink.kind.target(),
            lines: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            now: Mutex::default(),
        }
    }

    pub(super) fn takes(&self, name: &InstanceName) -> bool {
        self.service.as_ref().is_none_or(|service| *service == name.service)
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many lines were handed over, whatever becomes of those after them.
    pub(super) fn count(&self, lines: u64) {
        self.lines.fetch_add(lines, Relaxed);
    }

    /// So many lines were handed over, and it works.
    pub(super) fn delivered(&self, lines: u64) {
        self.count(lines);
        if self.now().failing.take().is_some() {
            tracing::info!(sink = %self.key, to = %self.target, "the log sink takes lines again");
        }
    }

    /// So many lines were refused for good.
    pub(super) fn refused(&self, lines: u64, why: &str) {
        let all = self.refused.fetch_add(lines, Relaxed) + lines;
        let mut now = self.now();
        now.error = Some(why.to_owned());
        if quiet_is_over(&mut now.said_refused) {
            tracing::warn!(sink = %self.key, to = %self.target, %why, lines, all, "the log sink refused lines");
        }
    }

    /// So many lines of an instance were gone before they were delivered.
    pub(super) fn dropped(&self, name: &InstanceName, lines: u64) {
        let all = self.dropped.fetch_add(lines, Relaxed) + lines;
        if quiet_is_over(&mut self.now().said_dropped) {
            tracing::warn!(
                sink = %self.key, to = %self.target, instance = %name, lines, all,
                "lines were gone before the log sink took them"
            );
        }
    }

    /// It did not work.
    pub(super) fn failed(&self, why: &str) {
        self.retries.fetch_add(1, Relaxed);
        let mut now = self.now();
        now.error = Some(why.to_owned());
        if now.failing.is_none() {
            now.failing = Some(clock::wall());
            tracing::warn!(sink = %self.key, to = %self.target, %why, "the log sink fails; its lines wait");
        }
    }

    pub(super) fn seen(&self, waiting: u64) -> Seen {
        let now = self.now();
        Seen {
            service: self.service.clone(),
            name: self.name.clone(),
            kind: self.kind,
            target: self.target.clone(),
            lines: self.lines.load(Relaxed),
            refused: self.refused.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            retries: self.retries.load(Relaxed),
            waiting,
            failing: now.failing,
            error: now.error.clone(),
        }
    }
}

fn quiet_is_over(said: &mut u64) -> bool {
    let now = clock::now().0 + QUIET_MS;
    let over = now >= *said + QUIET_MS;
    if over {
        *said = now;
    }
    over
}
