//! How much of the logs is kept: what the configuration says of it, and how that is taken anew while the daemon runs.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tenement_core::config::{self, Config, Service};
use tenement_logs::{DiskFull, Limits, LogStore, StreamLimits};
use tenement_runtime::keeper::Link;

use crate::in_effect::{self, Text};

/// What is in force.
#[derive(Debug)]
pub struct Retention {
    logs: LogStore,
    config: Arc<ArcSwap<Config>>,
    changing: Mutex<()>,
    keeper: Link,
}

impl Retention {
    /// `config`: what `logs` were opened with, and what everybody reads.
    #[must_use]
    pub fn new(logs: LogStore, config: Arc<ArcSwap<Config>>, keeper: Link) -> Self {
        Self { logs, config, changing: Mutex::new(()), keeper }
    }

    /// The configuration in force, with the keys `log_*` as they were taken last.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Puts the keys `log_*` of `file` in force, and nothing else of it. What is too much by them goes soon after. `text`:
    /// what stands in it, for the next daemon should this one die.
    pub fn take_from(&self, file: &Config, text: &Text) {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut config = Config::clone(&self.config.load());
        config.take_log_keys(file);
        self.logs.set_limits(limits(&config));
        self.config.store(Arc::new(config));
        if let Err(error) = in_effect::keep_log_keys(&self.keeper, text) {
            tracing::warn!(%error, "the log keys that were taken anew would be lost if this daemon died");
        }
    }

    /// Puts a whole configuration in force, as far as logs and whoever reads it anew each time are concerned. `text`: where
    /// it comes from, for the next daemon.
    pub fn put(&self, config: Arc<Config>, text: &Text) {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.logs.set_limits(limits(&config));
        self.config.store(config);
        if let Err(error) = in_effect::keep(&self.keeper, text) {
            tracing::warn!(%error, "the configuration that was taken anew would be lost if this daemon died");
        }
    }
}

/// How much is kept of all logs together, and of each instance's.
#[must_use]
pub fn limits(config: &Config) -> Limits {
    let settings = &config.settings;
    let instance = StreamLimits {
        retention: settings.log_retention,
        max_size: settings.log_max_size,
        rate: settings.log_rate_limit,
    };
    let of_service = |service: &Arc<Service>| StreamLimits {
        retention: service.log_retention.unwrap_or(instance.retention),
        max_size: service.log_max_size.unwrap_or(instance.max_size),
        rate: service.log_rate_limit.or(instance.rate).filter(|&lines| lines > 0),
    };
    let services = config.services.iter().map(|(name, service)| (name.clone(), of_service(service)));
    let disk_full = match settings.log_disk_full {
        config::DiskFull::DropOldest => DiskFull::DropOldest,
        config::DiskFull::Wait => DiskFull::Wait,
    };
    Limits {
        max_size: settings.log_max_size,
        instance,
        services: services.collect(),
        disk_full,
        ..Limits::default()
    }
}
