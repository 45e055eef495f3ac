//! The configuration as checked values: what the rest of the program works with.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use ipnet::IpNet;

use super::{logs::DiskFull, template::Template};
use crate::name::{InstanceName, ServiceName};

/// A whole checked `tenement.toml`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from; `None` for a text that has none.
    pub path: Option<PathBuf>,
    /// `[settings]`.
    pub settings: Settings,
    /// `[service.*]`, by name.
    pub services: BTreeMap<ServiceName, Arc<Service>>,
    /// `[instances]`, in order of service and place.
    pub instances: Vec<InstanceName>,
}

/// `[settings]`, defaults filled in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// State, sockets, logs; an instance's data is `{data_dir}/{service}/{id}`.
    pub data_dir: PathBuf,
    /// Addresses of API, dashboard and tenant traffic.
    pub listen: Vec<SocketAddr>,
    /// Instances are `{id}.{service}.{domain}`. Lower case, without a trailing dot.
    pub domain: String,
    /// Between two checks of one instance.
    pub health_check_interval: Duration,
    /// More crashes than this within `restart_window`: failed.
    pub max_restarts: u32,
    /// See `max_restarts`.
    pub restart_window: Duration,
    /// The first back-off.
    pub backoff_base: Duration,
    /// The longest back-off.
    pub backoff_max: Duration,
    /// From SIGTERM to SIGKILL.
    pub stop_timeout: Duration,
    /// Starts at the same time.
    pub max_starting: usize,
    /// Age at which log segments go.
    pub log_retention: Duration,
    /// Bytes of log over all instances.
    pub log_max_size: u64,
    /// Lines of log per instance that are kept in a second; `None`: all.
    pub log_rate_limit: Option<u32>,
    /// What happens to log lines when the disk is full.
    pub log_disk_full: DiskFull,
    /// Whether `/metrics` names instances without a token.
    pub metrics_detail: MetricsDetail,
    /// Whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whose pages may open WebSockets to the API, besides its own: `https://console.example.com`.
    pub allowed_origins: Vec<String>,
}

/// `[settings] metrics_detail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsDetail {
    /// Series per instance only with a token.
    Token,
    /// Series per instance for everybody.
    Public,
}

/// One `[service.NAME]`, defaults filled in.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// Program and arguments, `command` split and `args` appended; placeholders not yet filled in.
    pub command: Vec<Template>,
    /// Where the process starts.
    pub workdir: PathBuf,
    /// Where the app is asked to listen.
    pub socket: Template,
    /// Who makes the listening socket.
    pub activation: Activation,
    /// Whether its declared instances are started at boot.
    pub autostart: bool,
    /// Path of the health check; none: not checked.
    pub health: Option<String>,
    /// For one check.
    pub health_timeout: Duration,
    /// Until the first accept and the first good check.
    pub startup_timeout: Duration,
    /// Without an open request before it sleeps; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// Until the head of the response.
    pub request_timeout: Duration,
    /// What a crash leads to.
    pub restart: RestartPolicy,
    /// How it is shut off from others.
    pub isolation: Isolation,
    /// MiB of memory for the whole tree; `None`: no limit.
    pub memory_limit_mb: Option<u64>,
    /// Relative CPU weight; 100 is the default.
    pub cpu_shares: u64,
    /// Whether the data directory outlives the instance.
    pub storage_persist: bool,
    /// MiB of data; `None`: no limit.
    pub storage_quota_mb: Option<u64>,
    /// Which ids a request may start.
    pub on_demand: OnDemand,
    /// Known instances of this service at most.
    pub max_instances: usize,
    /// Requests held while it wakes.
    pub max_waiting: usize,
    /// Requests in flight per instance; `None`: no limit.
    pub max_connections: Option<u32>,
    /// Age at which its log segments go; `None`: the settings'.
    pub log_retention: Option<Duration>,
    /// Bytes of log per instance; `None`: the settings'.
    pub log_max_size: Option<u64>,
    /// Lines of log that are kept in a second; 0: all; `None`: the settings'.
    pub log_rate_limit: Option<u32>,
    /// `[service.NAME.env]`; placeholders not yet filled in.
    pub env: BTreeMap<String, Template>,
}

impl Service {
    /// Program and arguments in one text, as a shell would take them; placeholders not filled in.
    #[must_use]
    pub fn command_line(&self) -> String {
        let words: Vec<String> = self.command.iter().map(ToString::to_string).collect();
        shell_words::join(&words)
    }
}

/// Who makes the listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The app binds `SOCKET_PATH` or `PORT`.
    Bind,
    /// The app is handed a listening socket as descriptor 3 (`sd_listen_fds(3)`).
    ListenFds,
}

impl Activation {
    /// The word of the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::ListenFds => "listen-fds",
        }
    }
}

/// What the end of a process leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Started again however it ended.
    Always,
    /// Started again unless it ended with code 0.
    OnFailure,
    /// Left alone.
    Never,
}

impl RestartPolicy {
    /// The word of the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::OnFailure => "on-failure",
            Self::Never => "never",
        }
    }
}

/// How an instance is shut off from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// A process of its own.
    Process,
    /// Its own namespaces.
    Namespace,
    /// A sandboxed kernel.
    Sandbox,
}

impl Isolation {
    /// The word of the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Namespace => "namespace",
            Self::Sandbox => "sandbox",
        }
    }
}

/// Which ids a request may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDemand {
    /// Those that were spawned or declared.
    Known,
    /// Any, up to `max_instances`.
    Any,
    /// None.
    Never,
}

impl OnDemand {
    /// The word of the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Any => "any",
            Self::Never => "false",
        }
    }
}
