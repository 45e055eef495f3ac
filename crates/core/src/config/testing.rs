//! Values for tests of other modules and crates.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Activation, DiskFull, Isolation, MetricsDetail, OnDemand, RestartPolicy, Service, Settings,
    template::Template,
};

/// Settings with every default, that listen nowhere.
#[must_use]
pub fn settings() -> Settings {
    Settings {
        data_dir: "/".into(),
        listen: Vec::new(),
        domain: "localhost".into(),
        health_check_interval: Duration::from_secs(10),
        max_restarts: 3,
        restart_window: Duration::from_secs(300),
        backoff_base: Duration::from_secs(1),
        backoff_max: Duration::from_secs(60),
        stop_timeout: Duration::from_secs(10),
        max_starting: 4,
        log_retention: Duration::from_secs(7 * 86_400),
        log_max_size: 1 << 30,
        log_rate_limit: None,
        log_disk_full: DiskFull::default(),
        metrics_detail: MetricsDetail::Token,
        trusted_proxies: Vec::new(),
        allowed_origins: Vec::new(),
    }
}

/// A service with every default, that runs `/bin/true`.
///
/// # Panics
/// When `name` is not a service name.
#[must_use]
pub fn service(name: &str) -> Service {
    Service {
        name: name.parse().expect("a service name"),
        command: vec![Template::literal("/bin/true")],
        workdir: "/".into(),
        socket: Template::literal(format!("/tmp/{name}.sock")),
        activation: Activation::Bind,
        autostart: true,
        health: None,
        health_timeout: Duration::from_secs(5),
        startup_timeout: Duration::from_secs(10),
        idle_timeout: None,
        request_timeout: Duration::from_secs(30),
        restart: RestartPolicy::OnFailure,
        isolation: Isolation::Process,
        memory_limit_mb: None,
        cpu_shares: 100,
        storage_persist: true,
        storage_quota_mb: None,
        on_demand: OnDemand::Known,
        max_instances: 1000,
        max_waiting: 1024,
        max_connections: None,
        log_retention: None,
        log_max_size: None,
        log_rate_limit: None,
        env: BTreeMap::new(),
    }
}
