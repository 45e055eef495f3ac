//! What a new configuration changes about the one in force, and when.
//!
//! ```text
//!   in force ──┐
//!              ├─► Plan ─┬─► what changes: settings, services, declared instances
//!   file ──────┘         └─► what will be in force: the file, but for what is bound at the start
//! ```
//!
//! It says nothing of instances that run: which of them have to be restarted is for those who know them, by
//! [`launch_text`].

use std::{collections::BTreeSet, fmt::Write, sync::Arc};

use super::{Config, Service, Settings};
use crate::name::{InstanceName, ServiceName};

/// When a changed setting is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// As soon as the configuration is.
    AtOnce,
    /// With the next start of an instance: what runs is restarted.
    Restart,
    /// With the next start of the daemon, or its next upgrade: it is bound there.
    NextStart,
}

impl Takes {
    /// As in the API: `at_once`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtOnce => "at_once",
            Self::Restart => "restart",
            Self::NextStart => "next_start",
        }
    }
}

/// A key of the file whose value is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// As it stands in the file; a variable is `env.NAME`.
    pub key: String,
    /// When it is in force.
    pub takes: Takes,
}

/// A service that is in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedService {
    /// Which.
    pub name: ServiceName,
    /// At least one.
    pub settings: Vec<Changed>,
}

/// What changes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of `[settings]`.
    pub settings: Vec<Changed>,
    /// Services that are new.
    pub added: Vec<ServiceName>,
    /// Services that are no longer there.
    pub removed: Vec<ServiceName>,
    /// Services that are different.
    pub changed: Vec<ChangedService>,
    /// Instances that are new in `[instances]`.
    pub declared: Vec<InstanceName>,
    /// Instances that are no longer there, of services that are.
    pub undeclared: Vec<InstanceName>,
    /// What will be in force.
    pub config: Arc<Config>,
}

impl Plan {
    /// From what is in force to what the file says.
    #[must_use]
    pub fn of(old: &Config, new: &Config) -> Self {
        let mut config = new.clone();
        let settings = settings(&old.settings, &new.settings);
        keep_bound(&old.settings, &mut config.settings);
        let (before, after): (BTreeSet<_>, BTreeSet<_>) =
            (old.instances.iter().collect(), new.instances.iter().collect());
        let only = |of: &Config, others: &Config| -> Vec<ServiceName> {
            of.services.keys().filter(|name| !others.services.contains_key(*name)).cloned().collect()
        };
        let changed = new.services.iter().filter_map(|(name, service)| {
            let settings = service_settings(old.services.get(name)?, service);
            (!settings.is_empty()).then(|| ChangedService { name: name.clone(), settings })
        });
        let stays = |name: &&&InstanceName| new.services.contains_key(&name.service);
        Self {
            settings,
            added: only(new, old),
            removed: only(old, new),
            changed: changed.collect(),
            declared: after.difference(&before).map(|name| (**name).clone()).collect(),
            undeclared: before.difference(&after).filter(stays).map(|name| (**name).clone()).collect(),
            config: Arc::new(config),
        }
    }

    /// Whether the file says what is in force.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { settings, added, removed, changed, declared, undeclared, config: _ } = self;
        settings.is_empty()
            && [added, removed].iter().all(|services| services.is_empty())
            && changed.is_empty()
            && [declared, undeclared].iter().all(|instances| instances.is_empty())
    }
}

/// What can't change while the daemon runs stays what it was.
fn keep_bound(old: &Settings, new: &mut Settings) {
    new.data_dir.clone_from(&old.data_dir);
    new.listen.clone_from(&old.listen);
    new.trusted_proxies.clone_from(&old.trusted_proxies);
}

/// Collects keys whose values differ.
#[derive(Default)]
struct Differences(Vec<Changed>);

impl Differences {
    fn look<T: PartialEq>(&mut self, takes: Takes, key: &str, old: &T, new: &T) {
        if old != new {
            self.0.push(Changed { key: key.to_owned(), takes });
        }
    }
}

/// Looks at fields that are called like their keys.
macro_rules! look {
    ($found:ident, $old:ident, $new:ident, $takes:expr, $($key:ident),+ $(,)?) => {
        $($found.look($takes, stringify!($key), &$old.$key, &$new.$key);)+
    };
}

fn settings(old: &Settings, new: &Settings) -> Vec<Changed> {
    let mut found = Differences::default();
    look!(found, old, new, Takes::NextStart, data_dir, listen, trusted_proxies);
    look!(
        found,
        old,
        new,
        Takes::AtOnce,
        domain,
        health_check_interval,
        max_restarts,
        restart_window,
        stop_timeout,
        max_starting,
        log_retention,
        log_max_size,
        log_rate_limit,
        log_disk_full,
        metrics_detail,
        allowed_origins,
    );
    found.look(Takes::AtOnce, "backoff_base_ms", &old.backoff_base, &new.backoff_base);
    found.look(Takes::AtOnce, "backoff_max_ms", &old.backoff_max, &new.backoff_max);
    found.look(Takes::AtOnce, "log_sink", &old.log_sinks, &new.log_sinks);
    found.0
}

fn service_settings(old: &Service, new: &Service) -> Vec<Changed> {
    let mut found = Differences::default();
    look!(
        found,
        old,
        new,
        Takes::Restart,
        command,
        workdir,
        socket,
        activation,
        isolation,
        memory_limit_mb,
        cpu_shares,
        storage_quota_mb,
    );
    let names: BTreeSet<&String> = old.env.keys().chain(new.env.keys()).collect();
    for name in names {
        found.look(Takes::Restart, &format!("env.{name}"), &old.env.get(name), &new.env.get(name));
    }
    look!(
        found,
        old,
        new,
        Takes::AtOnce,
        autostart,
        health,
        health_timeout,
        startup_timeout,
        idle_timeout,
        request_timeout,
        restart,
        storage_persist,
        on_demand,
        max_instances,
        max_waiting,
        max_connections,
        log_retention,
        log_max_size,
        log_rate_limit,
    );
    found.look(Takes::AtOnce, "log_sink", &old.log_sinks, &new.log_sinks);
    found.0
}

/// The keys for which what runs of `old` has to be restarted to be of `new`; none when both have the same
/// [`launch_text`].
#[must_use]
pub fn needs_restart(old: &Service, new: &Service) -> Vec<String> {
    let changed = service_settings(old, new).into_iter();
    changed.filter(|changed| changed.takes == Takes::Restart).map(|changed| changed.key).collect()
}

/// Everything of a service that its processes are started with, as one text: while it stays the same, what runs need
/// not be restarted. It may hold secrets, and means nothing to another version.
#[must_use]
pub fn launch_text(service: &Service) -> String {
    // Named one by one, so that nobody adds a key without deciding whether it belongs here.
    let Service {
        name,
        command,
        workdir,
        socket,
        activation,
        isolation,
        memory_limit_mb,
        cpu_shares,
        storage_quota_mb,
        env,
        autostart: _,
        health: _,
        health_timeout: _,
        startup_timeout: _,
        idle_timeout: _,
        request_timeout: _,
        restart: _,
        storage_persist: _,
        on_demand: _,
        max_instances: _,
        max_waiting: _,
        max_connections: _,
        log_retention: _,
        log_max_size: _,
        log_sinks: _,
        log_rate_limit: _,
    } = service;
    let mut text = String::new();
    // Quoted by Debug, so that no value can pass for another line. Writing to a text can't fail.
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key} = {value}");
    };
    line("name", name.to_string());
    for word in command {
        line("command", format!("{:?}", word.to_string()));
    }
    line("workdir", format!("{workdir:?}"));
    line("socket", format!("{:?}", socket.to_string()));
    line("activation", activation.as_str().to_owned());
    line("isolation", isolation.as_str().to_owned());
    line("memory_limit_mb", format!("{memory_limit_mb:?}"));
    line("cpu_shares", cpu_shares.to_string());
    line("storage_quota_mb", format!("{storage_quota_mb:?}"));
    for (key, value) in env {
        line("env", format!("{key:?} {:?}", value.to_string()));
    }
    text
}

#[cfg(test)]
mod tests;
