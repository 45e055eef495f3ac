//! The log of all instances.

mod folders;

use std::{
    collections::BTreeMap,
    fs::DirBuilder,
    io,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    thread::{self, JoinHandle},
    time::Duration,
};

use tenement_core::{
    name::InstanceName,
    slot::RunId,
    time::{Millis, WallMillis},
};
use tenement_runtime::clock;

use crate::{
    blocks,
    follow::{Begin, Bells, Follower},
    incident::{Disk, DiskStats, Incident, Observer},
    ingest::{Command, Ingest, Mailbox, Pipes, channel},
    instance::{COALESCE, FOLLOWED, Instance},
    line::LogLine,
    packer::Packer,
    query::{self, Context, Export, Grain, Histogram, LogPage, LogQuery, QueryError, Surrounded},
    retention::{self, Limits, Room},
};

/// The run of pipes that were resumed: the numbers of a daemon's runs say nothing to the next one.
const RESUMED: RunId = RunId(u64::MAX);

/// The log of all instances. Cheap to clone; every method may block on the disk. The last clone that is
/// dropped ends the ingest thread.
#[derive(Clone)]
pub struct LogStore {
    handle: Arc<Handle>,
}

/// Ends the ingest thread when the last [`LogStore`] goes.
struct Handle {
    shared: Arc<Shared>,
    /// Ingest and packer.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the ingest thread and the callers share.
pub(crate) struct Shared {
    dir: PathBuf,
    limits: RwLock<Arc<Limits>>,
    instances: Mutex<BTreeMap<InstanceName, Arc<Instance>>>,
    pub(crate) pipes: Pipes,
    pub(crate) mailbox: Mailbox,
    pub(crate) bells: Bells,
    pub(crate) disk: Disk,
    observer: Box<dyn Observer>,
    pub(crate) packer: Packer,
}

/// What was taken in from one instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InstanceStats {
    /// Lines kept.
    pub lines: u64,
    /// Bytes of the files that hold and describe them.
    pub bytes: u64,
    /// Lines that came since the store was opened.
    pub lines_taken: u64,
    /// Bytes that came since the store was opened.
    pub bytes_taken: u64,
    /// Lines that those who follow were too slow for, or that were gone before they were read.
    pub passed_over: u64,
    /// Failed writes; the bytes stay in the pipe and are tried again.
    pub write_errors: u64,
    /// Lines that were left out because there were more in a second than may be.
    pub lines_left_out: u64,
    /// Bytes of them.
    pub bytes_left_out: u64,
    /// Bytes of lines in closed segments that no index has yet. They are found too, only slower.
    pub unindexed: u64,
}

/// What is kept of every instance.
pub type Stats = BTreeMap<InstanceName, InstanceStats>;

impl LogStore {
    /// Opens the store in `dir`, creates it when missing, finds what a killed predecessor left, and starts
    /// the thread that takes lines in. A folder that can't be read is set aside; the others are not affected.
    ///
    /// # Errors
    /// The directory cannot be made or read, or the thread not started.
    pub fn open(dir: PathBuf, limits: Limits) -> io::Result<Self> {
        Self::open_observed(dir, limits, Box::new(|_: &Incident| ()))
    }

    /// As [`Self::open`], and tells `observer` what an operator should know of.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_observed(dir: PathBuf, limits: Limits, observer: Box<dyn Observer>) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let (pipes, mailbox) = channel()?;
        let instances = Mutex::new(folders::find(&dir, &limits)?);
        let shared = Arc::new(Shared {
            dir,
            limits: RwLock::new(Arc::new(limits)),
            instances,
            pipes,
            mailbox,
            bells: Bells::default(),
            disk: Disk::default(),
            observer,
            packer: Packer::default(),
        });
        let ingest = Ingest::new(Arc::clone(&shared));
        let thread = |name: &str| thread::Builder::new().name(name.into());
        let handle = Handle { shared: Arc::clone(&shared), threads: Mutex::default() };
        handle.add(thread("logs").spawn(|| ingest.run())?);
        handle.add(thread("logs-packer").spawn(move || shared.packer.run())?);
        Ok(Self { handle: Arc::new(handle) })
    }

    /// Takes in what comes out of `pipes`, the non-blocking read ends of stdout and stderr.
    ///
    /// # Errors
    /// The instance's directory cannot be made, or the kernel watches no more files.
    pub fn attach(&self, name: &InstanceName, run: RunId, pipes: [OwnedFd; 2]) -> io::Result<()> {
        let instance = self.begin(name, |instance| instance.attach(run))?;
        self.handle.shared.pipes.add(&instance, run, pipes)
    }

    /// The same for a run that was attached to an earlier store. A line that was half written then goes on.
    ///
    /// # Errors
    /// As [`Self::attach`].
    pub fn adopt(&self, name: &InstanceName, run: RunId, pipes: [OwnedFd; 2]) -> io::Result<()> {
        let instance = self.begin(name, |instance| instance.adopt(run))?;
        self.handle.shared.pipes.add(&instance, run, pipes)
    }

    fn begin(
        &self,
        name: &InstanceName,
        begin: impl FnOnce(&Instance) -> io::Result<()>,
    ) -> io::Result<Arc<Instance>> {
        let shared = &self.handle.shared;
        let mut instances = shared.instances();
        let instance = match instances.get(name) {
            Some(instance) => Arc::clone(instance),
            None => {
                let opened = Instance::open(&shared.dir, name.clone(), shared.limits().of(name))?;
                let opened = Arc::new(opened);
                instances.insert(name.clone(), Arc::clone(&opened));
                opened
            }
        };
        begin(&instance)?;
        drop(instances);
        // A line that the run before left unfinished has ended.
        shared.tell(&instance);
        Ok(instance)
    }

    /// Goes on taking in what a run prints that a killed daemon has left, until [`Self::let_go`]: also beside a next run,
    /// which may come to nothing while the other is there. A line that was half written then goes on.
    ///
    /// # Errors
    /// As [`Self::attach`].
    pub fn resume(&self, name: &InstanceName, pipes: [OwnedFd; 2]) -> io::Result<()> {
        let run = self.handle.shared.get(name).map_or_else(RunId::default, |instance| instance.written_by());
        let instance = self.begin(name, |instance| instance.adopt(run))?;
        self.handle.shared.pipes.add(&instance, RESUMED, pipes)
    }

    /// No longer reads what was resumed, once what is in its pipes is taken in. A run that is attached is not affected.
    pub fn let_go(&self, name: &InstanceName) {
        self.detach(name, RESUMED, || {});
    }

    /// Takes in nothing more: what is in the pipes stays there for whoever opens the store next. What is kept can still be
    /// read. Returns when every file is left alone.
    pub fn close(&self) {
        self.handle.end();
    }

    /// What is in force.
    #[must_use]
    pub fn limits(&self) -> Arc<Limits> {
        self.handle.shared.limits()
    }

    /// Puts other limits in force, for all that is there and all that comes. What is too much by them goes soon
    /// after.
    pub fn set_limits(&self, limits: Limits) {
        let shared = &self.handle.shared;
        let limits = Arc::new(limits);
        // Whoever is attached meanwhile gets the new ones: that needs this lock too.
        let instances = shared.instances();
        *shared.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&limits);
        for instance in instances.values() {
            instance.set_limits(limits.of(&instance.name));
        }
        drop(instances);
        shared.mailbox.send(Command::Chores);
    }

    /// When the oldest line of every instance arrived that has any. Reads from the disk.
    #[must_use]
    pub fn oldest(&self) -> BTreeMap<InstanceName, WallMillis> {
        let all = self.handle.shared.all();
        all.iter().filter_map(|instance| Some((instance.name.clone(), instance.oldest()?))).collect()
    }

    /// What came of a full disk.
    #[must_use]
    pub fn disk(&self) -> DiskStats {
        self.handle.shared.disk.stats()
    }

    /// Takes in what is left in the pipes of a run whose processes are gone, closes them, and calls `done` on
    /// the thread of the store, also when the run is not attached. For an instance nobody knows, on the caller's thread.
    pub fn detach(&self, name: &InstanceName, run: RunId, done: impl FnOnce() + Send + 'static) {
        match self.handle.shared.get(name) {
            Some(instance) => {
                self.handle.shared.mailbox.send(Command::Detach { instance, run, done: Box::new(done) });
            }
            None => done(),
        }
    }

    /// A page of lines.
    ///
    /// # Errors
    /// An invalid regular expression, or a disk that cannot be read.
    pub fn query(&self, query: &LogQuery) -> Result<LogPage, QueryError> {
        query::answer(query, || self.handle.shared.matching(query))
    }

    /// The lines around lines that were found.
    ///
    /// # Errors
    /// A disk that cannot be read, or it takes too long.
    pub fn around(&self, lines: Vec<LogLine>, context: &Context) -> Result<Surrounded, QueryError> {
        query::around(lines, context, |name| self.handle.shared.get(name))
    }

    /// Counts lines over time. `limit`, `offset`, `before` and `cursor` of the query mean nothing here.
    ///
    /// # Errors
    /// An invalid regular expression, a disk that cannot be read, or it takes too long.
    pub fn histogram(&self, query: &LogQuery, grain: Grain) -> Result<Histogram, QueryError> {
        query::histogram(query, grain, || self.handle.shared.matching(query))
    }

    /// All lines that are there now, oldest first. `limit`, `offset`, `before` and `cursor` of the query mean nothing
    /// here.
    ///
    /// # Errors
    /// An invalid regular expression, or a disk that cannot be read.
    pub fn export(&self, query: &LogQuery) -> Result<Export, QueryError> {
        Export::new(query, self.handle.shared.matching(query))
    }

    /// Reads lines as they come. `limit` and `offset` of the query mean nothing here.
    ///
    /// # Errors
    /// An invalid regular expression, or a disk that cannot be read.
    pub fn follow(&self, query: LogQuery, begin: &Begin) -> Result<Follower, QueryError> {
        Follower::new(Arc::clone(&self.handle.shared), query, begin)
    }

    /// The last `n` lines of an instance's last run, oldest first, as text; none when they cannot be read.
    #[must_use]
    pub fn last_lines(&self, name: &InstanceName, n: usize) -> Vec<String> {
        let query = LogQuery { instance: Some(name.clone()), limit: n, ..LogQuery::default() };
        let begun = self.handle.shared.get(name).map_or(0, |instance| instance.run_seq());
        match self.query(&query) {
            Ok(page) => {
                let lines = page.lines.iter().filter(|line| line.seq >= begun);
                lines.map(|line| line.message().into_owned()).collect()
            }
            Err(error) => {
                tracing::warn!(instance = %name, %error, "the last lines could not be read");
                Vec::new()
            }
        }
    }

    pub(crate) fn instance(&self, name: &InstanceName) -> Option<Arc<Instance>> {
        self.handle.shared.get(name)
    }

    pub(crate) fn send(&self, command: Command) {
        self.handle.shared.mailbox.send(command);
    }

    /// Erases everything an instance wrote.
    ///
    /// # Errors
    /// A file could not be removed; what is left is still found.
    pub fn purge(&self, name: &InstanceName) -> io::Result<()> {
        let shared = &self.handle.shared;
        let packed = shared.get(name);
        // Before all instances are held up.
        let _alone = packed.as_ref().map(|instance| instance.unpacked());
        let mut instances = shared.instances();
        if let Some(instance) = instances.get(name) {
            instance.purge()?;
            instance.recent().clear();
            if instance.is_over() {
                instance.forget();
                instances.remove(name);
            }
        }
        blocks::forget();
        folders::purge_set_aside(&shared.dir, name)
    }

    /// Makes the indexes of all closed segments anew, in the background. [`InstanceStats::unindexed`] says how
    /// much is left.
    ///
    /// # Errors
    /// An old one could not be removed.
    pub fn reindex(&self) -> io::Result<()> {
        for instance in self.handle.shared.all() {
            instance.forget_indexes()?;
            self.handle.shared.packer.offer(&instance);
        }
        Ok(())
    }

    /// Every instance something is kept of, also those that are gone.
    #[must_use]
    pub fn known(&self) -> Vec<InstanceName> {
        self.handle.shared.instances().keys().cloned().collect()
    }

    /// The place of the next line of every known instance.
    #[must_use]
    pub fn ends(&self) -> BTreeMap<InstanceName, u64> {
        self.handle.shared.all().iter().map(|one| (one.name.clone(), one.next_seq())).collect()
    }

    /// Counts of every known instance.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.handle.shared.all().iter().map(|instance| (instance.name.clone(), instance.stats())).collect()
    }
}

impl std::fmt::Debug for LogStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogStore").field("dir", &self.handle.shared.dir).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.end();
    }
}

impl Handle {
    fn add(&self, thread: JoinHandle<()>) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }

    fn end(&self) {
        self.shared.mailbox.send(Command::Stop);
        self.shared.packer.stop();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // The last clone may die in a callback on the thread itself.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Shared {
    fn instances(&self) -> MutexGuard<'_, BTreeMap<InstanceName, Arc<Instance>>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn get(&self, name: &InstanceName) -> Option<Arc<Instance>> {
        self.instances().get(name).cloned()
    }

    pub(crate) fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn tell_of(&self, incident: &Incident) {
        self.observer.happened(incident);
    }

    pub(crate) fn all(&self) -> Vec<Arc<Instance>> {
        self.instances().values().cloned().collect()
    }

    pub(crate) fn matching(&self, query: &LogQuery) -> Vec<Arc<Instance>> {
        match &query.instance {
            Some(name) => {
                self.get(name).into_iter().filter(|instance| query.covers(&instance.name)).collect()
            }
            None if !query.instances.is_empty() => {
                let named = query.instances.iter().filter(|name| query.covers(name));
                named.filter_map(|name| self.get(name)).collect()
            }
            None => self.all().into_iter().filter(|instance| query.covers(&instance.name)).collect(),
        }
    }

    /// How long lines of an instance may wait for their mark.
    pub(crate) fn window(&self, instance: &Instance) -> Duration {
        if self.bells.followers(&instance.name) > 0 { FOLLOWED } else { COALESCE }
    }

    /// Rings for who follows an instance that has new lines.
    pub(crate) fn tell(&self, instance: &Instance) {
        if instance.has_news() {
            self.bells.ring(&instance.name);
        }
    }

    /// Has what was closed packed.
    pub(crate) fn pack_closed(&self, instance: &Arc<Instance>) {
        if instance.has_closed() {
            self.packer.offer(instance);
        }
    }

    /// Has everything packed that is not.
    pub(crate) fn pack_all(&self) {
        self.all()
            .iter()
            .filter(|instance| instance.has_to_pack())
            .for_each(|instance| self.packer.offer(instance));
    }

    /// Lets go what is too much over all instances.
    pub(crate) fn bound(&self) -> Room {
        retention::bound(&self.all(), &self.limits())
    }

    /// Lets go what is too old, and forgets instances nothing is left of.
    pub(crate) fn expire(&self) {
        retention::expire(&self.all());
        self.instances().retain(|_, instance| {
            // A file that is being packed would be taken for one of a later instance of this name.
            let over = instance.is_over() && !instance.is_packing();
            if over {
                instance.forget();
            }
            !over
        });
    }

    /// Closes segments that have grown for long enough.
    pub(crate) fn close_segments(&self, segment_size: u64) {
        let (now, wall) = (clock::now(), clock::wall());
        for instance in self.all() {
            instance.close_segments(now, wall, segment_size);
        }
    }

    /// Closes files that were not used since `before`.
    pub(crate) fn rest(&self, before: Millis) {
        for instance in self.all() {
            instance.rest(before);
        }
    }
}
