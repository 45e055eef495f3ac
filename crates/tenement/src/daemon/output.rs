//! Instances' output: FIFOs in the data directory, read by the log store.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use tenement_core::{config::Config, layout, name::InstanceName, slot::RunId};
use tenement_logs::{Limits, LogStore, StreamLimits};
use tenement_runtime::output::{fifo, private_dir};
use tenement_supervisor::{BoxFuture, Output};
use tokio::sync::oneshot;

/// Gives the supervisor pipes that end in the log store.
pub(super) struct Pipes {
    dir: PathBuf,
    config: Arc<Config>,
    logs: LogStore,
}

impl Pipes {
    pub(super) fn new(data_dir: &Path, config: Arc<Config>, logs: LogStore) -> Self {
        Self { dir: data_dir.join(layout::PIPES), config, logs }
    }

    fn limits(&self, name: &InstanceName) -> StreamLimits {
        let settings = &self.config.settings;
        let service = self.config.services.get(&name.service);
        StreamLimits {
            retention: service.and_then(|service| service.log_retention).unwrap_or(settings.log_retention),
            max_size: service.and_then(|service| service.log_max_size).unwrap_or(settings.log_max_size),
        }
    }
}

/// What all logs together may take.
pub(super) fn limits(config: &Config) -> Limits {
    Limits { max_size: config.settings.log_max_size, ..Limits::default() }
}

impl Output for Pipes {
    fn attach(&self, name: &InstanceName, run: RunId) -> io::Result<[OwnedFd; 2]> {
        let own = self.dir.join(name.service.as_str()).join(name.id.as_str());
        private_dir(&own)?;
        let (stdout, stderr) = (fifo(&own.join("stdout"))?, fifo(&own.join("stderr"))?);
        self.logs.attach(name, run, [stdout.reader, stderr.reader], self.limits(name))?;
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

    fn purge(&self, name: &InstanceName) -> io::Result<()> {
        self.logs.purge(name)
    }
}
