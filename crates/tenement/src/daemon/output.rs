//! Instances' output: FIFOs in the data directory, read by the log store.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use tenement_core::{
    config::{Config, Service},
    name::InstanceName,
    slot::RunId,
};
use tenement_logs::{Limits, LogStore, StreamLimits};
use tenement_runtime::output::{fifo, private_dir};
use tenement_supervisor::{BoxFuture, Output};
use tokio::sync::oneshot;

/// Gives the supervisor pipes that end in the log store.
pub(super) struct Pipes {
    dir: PathBuf,
    logs: LogStore,
}

impl Pipes {
    pub(super) fn new(data_dir: &Path, logs: LogStore) -> Self {
        Self { dir: data_dir.join("pipes"), logs }
    }
}

/// How much is kept of all logs together, and of each instance's.
pub(super) fn limits(config: &Config) -> Limits {
    let settings = &config.settings;
    let instance = StreamLimits { retention: settings.log_retention, max_size: settings.log_max_size };
    let of_service = |service: &Arc<Service>| StreamLimits {
        retention: service.log_retention.unwrap_or(instance.retention),
        max_size: service.log_max_size.unwrap_or(instance.max_size),
    };
    let services = config.services.iter().map(|(name, service)| (name.clone(), of_service(service)));
    Limits { max_size: settings.log_max_size, instance, services: services.collect(), ..Limits::default() }
}

impl Output for Pipes {
    fn attach(&self, name: &InstanceName, run: RunId) -> io::Result<[OwnedFd; 2]> {
        let own = self.dir.join(name.service.as_str()).join(name.id.as_str());
        private_dir(&own)?;
        let (stdout, stderr) = (fifo(&own.join("stdout"))?, fifo(&own.join("stderr"))?);
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

    fn purge(&self, name: &InstanceName) -> io::Result<()> {
        self.logs.purge(name)
    }
}
