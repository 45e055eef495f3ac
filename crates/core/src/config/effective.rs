//! The configuration as it is in force: every default filled in, secrets hidden. For the API and `ten config`.

use std::{collections::BTreeMap, time::Duration};

use serde::{Serialize, Serializer};

use super::{Config, LogSink, MetricsDetail, Service, SinkFrom, SinkKind, facility_word};

/// A configuration ready to be shown. Keys are those of the file, durations are seconds.
#[derive(Debug, Serialize)]
pub struct Effective {
    settings: Settings,
    services: BTreeMap<String, ServiceView>,
    instances: BTreeMap<String, Vec<String>>,
}

/// Seconds, as a whole number where it is one.
#[derive(Debug)]
struct Seconds(Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.subsec_nanos() {
            0 => serializer.serialize_u64(self.0.as_secs()),
            _ => serializer.serialize_f64(self.0.as_secs_f64()),
        }
    }
}

#[derive(Debug, Serialize)]
struct Settings {
    data_dir: String,
    listen: Vec<String>,
    domain: String,
    health_check_interval: Seconds,
    max_restarts: u32,
    restart_window: Seconds,
    backoff_base_ms: u64,
    backoff_max_ms: u64,
    stop_timeout: Seconds,
    max_starting: usize,
    log_retention: Seconds,
    log_max_size: u64,
    log_sink: Vec<SinkView>,
    log_rate_limit: Option<u32>,
    log_disk_full: &'static str,
    metrics_detail: &'static str,
    trusted_proxies: Vec<String>,
    allowed_origins: Vec<String>,
}

/// A service ready to be shown, as it is in [`Effective`].
#[derive(Debug, Serialize)]
pub struct ServiceView {
    command: String,
    workdir: String,
    socket: String,
    activation: &'static str,
    autostart: bool,
    health: Option<String>,
    health_timeout: Seconds,
    startup_timeout: Seconds,
    idle_timeout: Option<Seconds>,
    request_timeout: Seconds,
    restart: &'static str,
    isolation: &'static str,
    memory_limit_mb: Option<u64>,
    cpu_shares: u64,
    storage_persist: bool,
    storage_quota_mb: Option<u64>,
    on_demand: &'static str,
    max_instances: usize,
    max_waiting: usize,
    max_connections: Option<u32>,
    log_retention: Option<Seconds>,
    log_max_size: Option<u64>,
    log_sink: Vec<SinkView>,
    log_rate_limit: Option<u32>,
    env: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct SinkView {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    from: &'static str,
    #[serde(flatten)]
    more: SinkKeys,
}

/// The keys of one type.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum SinkKeys {
    Otlp {
        endpoint: String,
        headers: BTreeMap<String, &'static str>,
        ca_file: Option<String>,
        timeout: Seconds,
    },
    Syslog {
        address: String,
        facility: &'static str,
    },
    File {
        path: String,
        format: &'static str,
        rotate_size: Option<u64>,
        keep: u64,
    },
}

/// What is in force.
#[must_use]
pub fn effective(config: &Config) -> Effective {
    let mut instances: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in &config.instances {
        instances.entry(name.service.to_string()).or_default().push(name.id.to_string());
    }
    Effective {
        settings: settings(&config.settings),
        services: config
            .services
            .iter()
            .map(|(name, one)| (name.to_string(), effective_service(one)))
            .collect(),
        instances,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn settings(settings: &super::Settings) -> Settings {
    Settings {
        data_dir: settings.data_dir.to_string_lossy().into_owned(),
        listen: settings.listen.iter().map(ToString::to_string).collect(),
        domain: settings.domain.clone(),
        health_check_interval: Seconds(settings.health_check_interval),
        max_restarts: settings.max_restarts,
        restart_window: Seconds(settings.restart_window),
        backoff_base_ms: millis(settings.backoff_base),
        backoff_max_ms: millis(settings.backoff_max),
        stop_timeout: Seconds(settings.stop_timeout),
        max_starting: settings.max_starting,
        log_retention: Seconds(settings.log_retention),
        log_max_size: settings.log_max_size,
        log_sink: settings.log_sinks.iter().map(sink).collect(),
        log_rate_limit: settings.log_rate_limit,
        log_disk_full: settings.log_disk_full.as_str(),
        metrics_detail: match settings.metrics_detail {
            MetricsDetail::Token => "token",
            MetricsDetail::Public => "public",
        },
        trusted_proxies: settings.trusted_proxies.iter().map(ToString::to_string).collect(),
        allowed_origins: settings.allowed_origins.clone(),
    }
}

/// What is in force of one service.
#[must_use]
pub fn effective_service(service: &Service) -> ServiceView {
    ServiceView {
        command: service.command_line(),
        workdir: service.workdir.to_string_lossy().into_owned(),
        socket: service.socket.to_string(),
        activation: service.activation.as_str(),
        autostart: service.autostart,
        health: service.health.clone(),
        health_timeout: Seconds(service.health_timeout),
        startup_timeout: Seconds(service.startup_timeout),
        idle_timeout: service.idle_timeout.map(Seconds),
        request_timeout: Seconds(service.request_timeout),
        restart: service.restart.as_str(),
        isolation: service.isolation.as_str(),
        memory_limit_mb: service.memory_limit_mb,
        cpu_shares: service.cpu_shares,
        storage_persist: service.storage_persist,
        storage_quota_mb: service.storage_quota_mb,
        on_demand: service.on_demand.as_str(),
        max_instances: service.max_instances,
        max_waiting: service.max_waiting,
        max_connections: service.max_connections,
        log_retention: service.log_retention.map(Seconds),
        log_max_size: service.log_max_size,
        log_sink: service.log_sinks.iter().map(sink).collect(),
        log_rate_limit: service.log_rate_limit,
        env: service.env.iter().map(|(key, value)| (key.clone(), masked(key, &value.to_string()))).collect(),
    }
}

/// Values of headers are hidden whatever their names are.
fn sink(sink: &LogSink) -> SinkView {
    let target = sink.kind.target();
    let more = match &sink.kind {
        SinkKind::Otlp { headers, ca_file, timeout, .. } => SinkKeys::Otlp {
            endpoint: target,
            headers: headers.keys().map(|name| (name.clone(), "***")).collect(),
            ca_file: ca_file.as_ref().map(|path| path.to_string_lossy().into_owned()),
            timeout: Seconds(*timeout),
        },
        SinkKind::Syslog { facility, .. } => {
            SinkKeys::Syslog { address: target, facility: facility_word(*facility) }
        }
        SinkKind::File { format, rotate_size, keep, .. } => {
            SinkKeys::File { path: target, format: format.as_str(), rotate_size: *rotate_size, keep: *keep }
        }
    };
    let from = match sink.from {
        SinkFrom::Now => "now",
        SinkFrom::Oldest => "oldest",
    };
    SinkView { name: sink.name.clone(), kind: sink.kind.as_str(), from, more }
}

/// A value of a variable as it may be shown: one whose name looks like a secret is `***`, and so is an address that holds a
/// password.
#[must_use]
pub fn masked(key: &str, value: &str) -> String {
    const SECRET: [&str; 15] = [
        "KEY",
        "TOKEN",
        "SECRET",
        "PASS",
        "PWD",
        "CREDENTIAL",
        "AUTH",
        "PRIVATE",
        "SIGNING",
        "JWT",
        "COOKIE",
        "BEARER",
        "DSN",
        "CONNECTION_STRING",
        "DATABASE_URL",
    ];
    let key = key.to_ascii_uppercase();
    let is_secret = SECRET.iter().any(|word| key.contains(word)) || has_password(value);
    if is_secret { "***" } else { value }.to_owned()
}

/// `scheme://user:password@host`, as in RFC 3986 section 3.2.1.
fn has_password(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_not_shown() {
        let shown = masked;
        for key in [
            "API_KEY",
            "db_pass",
            "GITHUB_TOKEN",
            "DATABASE_URL",
            "AUTH",
            "Client_Secret",
            "PGPASSWORD",
            "SERVICE_JWT",
            "Session_Cookie",
            "BEARER",
        ] {
            assert_eq!(shown(key, "x"), "***", "{key}");
        }
        for value in ["postgres://me:pw@db/x", "amqp://a:b@h:5672", "a=redis://:pw@cache?db=1"] {
            assert_eq!(shown("WHERE", value), "***", "{value}");
        }
        for (key, value) in
            [("LEVEL", "debug"), ("HOME_URL", "https://a.example/x:y@z"), ("BASE", "http://me@host")]
        {
            assert_eq!(shown(key, value), value);
        }
    }
}
