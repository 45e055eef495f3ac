//! Instances' output: FIFOs in the data directory, read by the log store.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tenement_core::{layout, name::InstanceName, slot::RunId};
use tenement_logs::LogStore;
use tenement_runtime::{
    keeper::{Inheritance, Link},
    output::{fifo, left_behind, private_dir},
};
use tenement_supervisor::{BoxFuture, Output};
use tokio::sync::oneshot;

use super::Grounds;
use crate::{history::History, samples::Rings, sinks::Sinks};

/// What the FIFOs of an instance are called.
const STREAMS: [&str; 2] = ["stdout", "stderr"];

/// What the keeper knows pipes by, before the instance's name.
const HELD: &str = "pipes:";

/// Gives the supervisor pipes that end in the log store.
pub(super) struct Pipes {
    dir: PathBuf,
    logs: LogStore,
    sinks: Arc<Sinks>,
    history: Arc<History>,
    rings: Arc<Rings>,
    keeper: Link,
    /// What the keeper held for a daemon before, of instances that are not taken on yet.
    kept: Mutex<BTreeMap<String, [OwnedFd; 2]>>,
    /// Whose pipes are read as those of a run that was taken on.
    adopted: Mutex<BTreeSet<InstanceName>>,
}

impl Pipes {
    pub(super) fn new(grounds: &Grounds, keeper: Link, kept: &mut Inheritance) -> Self {
        let pipes = kept.held.extract_if(.., |name, _| name.starts_with(HELD));
        let kept = Mutex::new(pipes.filter_map(|(name, pair)| Some((name, pair.try_into().ok()?))).collect());
        let dir = grounds.dir.path().join(layout::PIPES);
        let (logs, sinks) = (grounds.logs.clone(), Arc::clone(&grounds.sinks));
        let (history, rings) = (Arc::clone(&grounds.history), Arc::clone(&grounds.rings));
        Self { dir, logs, sinks, history, rings, keeper, kept, adopted: Mutex::default() }
    }

    fn resume_one(&self, name: &InstanceName) -> io::Result<()> {
        if let Some(pipes) = self.left(name)? {
            tracing::info!(instance = %name, "a process of before still prints; its lines are read");
            self.logs.resume(name, pipes)?;
        }
        Ok(())
    }

    /// The read ends of an instance's pipes, unless nobody writes there and nothing is left in them. What the keeper held
    /// has all that was written; else it is there as long as a writer is.
    fn left(&self, name: &InstanceName) -> io::Result<Option<[OwnedFd; 2]>> {
        if let Some(kept) = lock(&self.kept).remove(&held(name)) {
            return Ok(Some(kept));
        }
        let own = self.folder(name);
        let [stdout, stderr] = STREAMS.map(|stream| left_behind(&own.join(stream)));
        let (stdout, stderr) = (stdout?, stderr?);
        if stdout.is_none() && stderr.is_none() {
            return Ok(None);
        }
        let [out, err] = STREAMS.map(|stream| fifo(&own.join(stream)));
        let stdout = stdout.map_or_else(|| out.map(|fifo| fifo.reader), Ok)?;
        let stderr = stderr.map_or_else(|| err.map(|fifo| fifo.reader), Ok)?;
        self.keeper.hold(&held(name), &[&stdout, &stderr]);
        Ok(Some([stdout, stderr]))
    }

    /// Where the FIFOs of an instance are.
    fn folder(&self, name: &InstanceName) -> PathBuf {
        self.dir.join(name.service.as_str()).join(name.id.as_str())
    }
}

/// What the keeper knows an instance's pipes by.
fn held(name: &InstanceName) -> String {
    format!("{HELD}{name}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A removal of what may be gone already.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Output for Pipes {
    fn attach(&self, name: &InstanceName, run: RunId) -> io::Result<[OwnedFd; 2]> {
        let own = self.folder(name);
        private_dir(&own)?;
        let [stdout, stderr] = STREAMS.map(|stream| fifo(&own.join(stream)));
        let (stdout, stderr) = (stdout?, stderr?);
        self.keeper.hold(&held(name), &[&stdout.reader, &stderr.reader]);
        self.logs.attach(name, run, [stdout.reader, stderr.reader])?;
        Ok([stdout.writer, stderr.writer])
    }

    fn adopt(&self, name: &InstanceName, run: RunId) -> io::Result<()> {
        let Some(pipes) = self.left(name)? else { return Ok(()) };
        lock(&self.adopted).insert(name.clone());
        self.logs.adopt(name, run, pipes)
    }

    fn resume(&self) {
        let folders = |dir: &Path| -> Vec<String> {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
        };
        let adopted = lock(&self.adopted);
        for service in folders(&self.dir) {
            for id in folders(&self.dir.join(&service)) {
                let Ok(name) = InstanceName::new(&service, &id) else { continue };
                if adopted.contains(&name) {
                    continue;
                }
                if let Err(error) = self.resume_one(&name) {
                    tracing::warn!(instance = %name, %error, "what it still prints can't be read");
                }
            }
        }
    }

    fn detach(&self, name: &InstanceName, run: RunId) -> BoxFuture<()> {
        let (done, is_done) = oneshot::channel();
        let (keeper, name) = (self.keeper.clone(), name.clone());
        self.logs.detach(&name.clone(), run, move || {
            keeper.drop_held(&held(&name));
            let _ = done.send(());
        });
        Box::pin(async {
            // An error means that the store is gone, and then nobody is waiting for lines either.
            let _ = is_done.await;
        })
    }

    fn last_lines(&self, name: &InstanceName, lines: usize) -> Vec<String> {
        self.logs.last_lines(name, lines)
    }

    fn forget(&self, name: &InstanceName) {
        self.logs.let_go(name);
        let own = self.folder(name);
        let removed = STREAMS.iter().try_for_each(|stream| gone(fs::remove_file(own.join(stream))));
        if let Err(error) = removed.and_then(|()| gone(fs::remove_dir(&own))) {
            tracing::warn!(instance = %name, %error, "its pipes could not be removed");
        }
        if let Err(error) = self.rings.forget(name) {
            tracing::warn!(instance = %name, %error, "its samples could not be removed; the next start tries again");
        }
    }

    fn keeps(&self, name: &InstanceName) -> bool {
        self.logs.known().contains(name) || self.rings.keeps(name)
    }

    fn purge(&self, name: &InstanceName) -> io::Result<()> {
        self.rings.forget(name)?;
        self.logs.purge(name)?;
        self.sinks.forget(name);
        // The last lines of its crashes are among what happened to it.
        self.history.erase(name.clone())
    }
}
