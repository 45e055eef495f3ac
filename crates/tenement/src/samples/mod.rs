//! What instances used and served over the last week: a small file of each.
//!
//! ```text
//!   processes, slots ─► Round ─► News ─► file (two rings: 10 s for an hour, 5 min for a week) ─► history of the API
//!    every 10 s       differences   └──► memory (five minutes) ─► spark, latest
//! ```
//!
//! `task.rs` is the clock of it. A place in a file follows from the time (`ring.rs`), so a daemon that follows another has
//! nothing to read before it goes on.

mod files;
mod record;
mod ring;
mod round;
mod sample;
mod series;
mod short;
mod spark;
mod task;

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tenement_core::{name::InstanceName, route::RouteTable, slot::Slot, time::Millis};
use tenement_runtime::seldom::Seldom;

use self::{
    files::{Files, News},
    round::Moment,
    spark::Spark,
};
pub use self::{
    sample::Sample,
    series::{Range, Series},
    task::{Sampling, begin},
};

/// What is kept of all instances.
#[derive(Debug)]
pub struct Rings {
    files: Files,
    /// Held while a file is written or erased. Who was erased, and is in the route table until that is done.
    leaving: Mutex<HashMap<InstanceName, Weak<Slot>>>,
    recent: Mutex<HashMap<InstanceName, Recent>>,
    /// The beginning of the interval that was looked at last.
    last: AtomicU32,
    /// Once there are instances.
    routes: OnceLock<Arc<ArcSwap<RouteTable>>>,
}

/// How long an interval is that is measured.
pub const INTERVAL: Duration = Duration::from_secs(ring::FINE.step as u64);

/// What was measured last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latest {
    /// That.
    pub sample: Sample,
    /// When it was: by the monotonic clock, as that of the sample may be set.
    pub until: Millis,
}

/// What is in memory of one.
#[derive(Debug, Default)]
struct Recent {
    spark: Spark,
    latest: Option<Latest>,
    /// The last write failed, so that its file may be anything.
    unsure: bool,
}

impl Rings {
    /// With files below `folder`, which is made when it is needed.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self {
            files: Files::in_folder(folder),
            leaving: Mutex::default(),
            recent: Mutex::default(),
            last: AtomicU32::new(0),
            routes: OnceLock::new(),
        }
    }

    /// Requests per second of the last 30 intervals of 10 s, oldest first; 0 where it slept. Those before this daemon are
    /// among them some seconds after its start. Does not block.
    #[must_use]
    pub fn spark(&self, name: &InstanceName) -> Vec<f32> {
        let last = self.last.load(Relaxed);
        match lock(&self.recent).get(name) {
            Some(recent) => recent.spark.until(last),
            None => vec![0.0; spark::COUNT as usize],
        }
    }

    /// What was measured of an instance last, by this daemon; long ago if it sleeps. Does not block.
    #[must_use]
    pub fn latest(&self, name: &InstanceName) -> Option<Latest> {
        lock(&self.recent).get(name)?.latest
    }

    /// What is kept of an instance over some time. `now`: seconds since the Unix epoch. Blocks.
    ///
    /// # Errors
    /// The disk failed. A file that is damaged or not there has just nothing in it.
    pub fn series(&self, name: &InstanceName, range: Range, now: u32) -> io::Result<Series> {
        Ok(Series::of(&self.files.read(name)?, range, now))
    }

    /// Whether something is kept of an instance. May block.
    #[must_use]
    pub fn keeps(&self, name: &InstanceName) -> bool {
        self.files.has(name)
    }

    /// Erases what is kept of an instance that is at rest and about to be forgotten; nothing is written of it any more.
    /// Blocks.
    ///
    /// # Errors
    /// The file is still there.
    pub fn forget(&self, name: &InstanceName) -> io::Result<()> {
        let mut leaving = lock(&self.leaving);
        let routes = self.routes.get().map(|routes| routes.load());
        if let Some(slot) = routes.as_ref().and_then(|routes| routes.slot(name)) {
            leaving.insert(name.clone(), Arc::downgrade(slot));
        }
        lock(&self.recent).remove(name);
        self.files.erase(name)
    }

    /// Writes what is new of everybody. Blocks.
    fn write(&self, moment: Moment, news: Vec<(Arc<Slot>, News)>) {
        static FAILING: Seldom = Seldom::new();
        for (slot, news) in news {
            let mut leaving = lock(&self.leaving);
            if leaving.get(slot.name()).is_some_and(|gone| is_same(gone, &slot)) {
                if !slot.is_open() {
                    continue;
                }
                // It could not be erased, and was started again.
                leaving.remove(slot.name());
            }
            let unsure = self.remember(slot.name(), news, moment.now);
            let written = self.files.write(slot.name(), News { first: news.first || unsure, ..news });
            if written.is_err() != unsure {
                self.doubt(slot.name(), written.is_err());
            }
            drop(leaving);
            if let Err(error) = written
                && let Some(unsaid) = FAILING.now()
            {
                tracing::warn!(
                    instance = %slot.name(), %error, unsaid,
                    "what it uses and serves can't be written down, and its curves will have a gap: make room on the \
                     disk of the data directory, or see what else is wrong with its folder 'samples'"
                );
            }
        }
        self.last.store(moment.at, Relaxed);
    }

    /// Takes it into memory. Whether its file may be anything.
    fn remember(&self, name: &InstanceName, news: News, now: Millis) -> bool {
        let mut all = lock(&self.recent);
        let recent = all.entry(name.clone()).or_default();
        if let Some(sample) = news.sample {
            recent.spark.set(sample.at, sample.requests_per_second() as f32);
            recent.latest = Some(Latest { sample, until: now });
        }
        recent.unsure
    }

    fn doubt(&self, name: &InstanceName, unsure: bool) {
        if let Some(recent) = lock(&self.recent).get_mut(name) {
            recent.unsure = unsure;
        }
    }

    /// Forgets, in memory, who is not known any more.
    fn let_go(&self, routes: &RouteTable) {
        let is_known = |name: &InstanceName| routes.slot(name).is_some();
        lock(&self.recent).retain(|name, _| is_known(name));
        let is_there = |(name, gone): (&InstanceName, &Weak<Slot>)| {
            routes.slot(name).is_some_and(|slot| is_same(gone, slot))
        };
        lock(&self.leaving).retain(|name, gone| is_there((name, gone)));
    }
}

fn is_same(one: &Weak<Slot>, other: &Arc<Slot>) -> bool {
    std::ptr::eq(one.as_ptr(), Arc::as_ptr(other))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
