//! Instances' output: FIFOs in the data directory, read by the log store.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use tenement_core::{layout, name::InstanceName, slot::RunId};
use tenement_logs::LogStore;
use tenement_runtime::output::{fifo, left_behind, private_dir};
use tenement_supervisor::{BoxFuture, Output};
use tokio::sync::oneshot;

use crate::{history::History, sinks::Sinks};

/// What the FIFOs of an instance are called.
const STREAMS: [&str; 2] = ["stdout", "stderr"];

/// Gives the supervisor pipes that end in the log store.
pub(super) struct Pipes {
    dir: PathBuf,
    logs: LogStore,
    sinks: Arc<Sinks>,
    history: Arc<History>,
}

impl Pipes {
    pub(super) fn new(data_dir: &Path, logs: LogStore, sinks: Arc<Sinks>, history: Arc<History>) -> Self {
        Self { dir: data_dir.join(layout::PIPES), logs, sinks, history }
    }

    /// Reads on what instances print that a killed daemon has left running, so that none of their lines is lost and none
    /// of them blocks.
    pub(super) fn resume(&self) {
        let folders = |dir: &Path| -> Vec<String> {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
        };
        for service in folders(&self.dir) {
            for id in folders(&self.dir.join(&service)) {
                let Ok(name) = InstanceName::new(&service, &id) else { continue };
                if let Err(error) = self.resume_one(&name) {
                    tracing::warn!(instance = %name, %error, "what it still prints can't be read");
                }
            }
        }
    }

    fn resume_one(&self, name: &InstanceName) -> io::Result<()> {
        let own = self.folder(name);
        let [stdout, stderr] = STREAMS.map(|stream| left_behind(&own.join(stream)));
        let (stdout, stderr) = (stdout?, stderr?);
        if stdout.is_none() && stderr.is_none() {
            return Ok(());
        }
        tracing::info!(instance = %name, "a process of before still prints; its lines are read");
        let [out, err] = STREAMS.map(|stream| fifo(&own.join(stream)));
        let stdout = stdout.map_or_else(|| out.map(|fifo| fifo.reader), Ok)?;
        let stderr = stderr.map_or_else(|| err.map(|fifo| fifo.reader), Ok)?;
        self.logs.resume(name, [stdout, stderr])
    }

    /// Where the FIFOs of an instance are.
    fn folder(&self, name: &InstanceName) -> PathBuf {
        self.dir.join(name.service.as_str()).join(name.id.as_str())
    }
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
        self.logs.attach(name, run, [stdout.reader, stderr.reader])?;
        Ok([stdout.writer, stderr.writer])
    }

    fn detach(&self, name: &InstanceName, run: RunId) -> BoxFuture<()> {
        let (done, is_done) = oneshot::channel();
        self.logs.detach(name, run, move || {
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
    }

    fn keeps(&self, name: &InstanceName) -> bool {
        self.logs.known().contains(name)
    }

    fn purge(&self, name: &InstanceName) -> io::Result<()> {
        self.logs.purge(name)?;
        self.sinks.forget(name);
        // The last lines of its crashes are among what happened to it.
        self.history.erase(name.clone())
    }
}
