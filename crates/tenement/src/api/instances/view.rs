//! An instance as the API shows it.

use jiff::Timestamp;
use serde::Serialize;
use tenement_core::{time::WallMillis, view::InstanceView};
use utoipa::ToSchema;

use crate::api::{Caller, reason, usage::Used, words};

/// RFC 3339 with `Z`.
pub(crate) fn timestamp(at: WallMillis) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    let at = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// MiB with one decimal.
pub(crate) fn mebibytes(bytes: u64) -> f64 {
    (bytes as f64 / (1 << 20) as f64 * 10.0).round() / 10.0
}

/// An instance in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InstanceSummary)]
pub(super) struct Summary {
    /// `service:id`.
    #[schema(example = "api:user123")]
    instance: String,
    service: String,
    id: String,
    /// The path it is asked to listen on.
    socket: String,
    /// Its TCP port on loopback, where that is what accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    port: Option<u16>,
    #[schema(value_type = words::Status)]
    status: &'static str,
    /// The id of its first process, while there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pid: Option<u32>,
    /// Time since it became ready; 0 without a process.
    uptime_ms: u64,
    #[schema(value_type = words::Health)]
    health: &'static str,
    /// Restarts since it became known: by hand, after a crash, by a failed check. Wakes don't count.
    restart_count: u64,
    /// Why it is in this status, where there is something to explain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// MiB of its whole process tree; with `usage=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    memory_mb: Option<f64>,
    /// Of one core, since the last look; with `usage=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cpu_percent: Option<f64>,
}

impl Summary {
    pub(super) fn of(view: &InstanceView, usage: Option<Used>, caller: &Caller) -> Self {
        Self {
            instance: view.name.to_string(),
            service: view.name.service.to_string(),
            id: view.name.id.to_string(),
            socket: view.socket.to_string_lossy().into_owned(),
            port: view.port,
            status: view.status.as_str(),
            pid: view.pid,
            uptime_ms: view.uptime_ms,
            health: view.health.as_str(),
            restart_count: view.restart_count,
            reason: view.reason.clone().map(|reason| reason::seen_by(caller, reason)),
            memory_mb: usage.map(|usage| usage.memory_mb),
            cpu_percent: usage.map(|usage| usage.cpu_percent),
        }
    }
}

/// An instance alone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InstanceDetails)]
pub(super) struct Details {
    #[serde(flatten)]
    summary: Summary,
    /// When it became known.
    #[schema(format = DateTime)]
    created_at: String,
    /// When the last check ended; null before the first.
    #[schema(format = DateTime)]
    last_health_check: Option<String>,
}

impl Details {
    pub(super) fn of(view: &InstanceView, caller: &Caller) -> Self {
        Self {
            summary: Summary::of(view, None, caller),
            created_at: timestamp(view.created_at),
            last_health_check: view.last_health_check.map(timestamp),
        }
    }
}

/// What became of an instance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InstanceBecame)]
pub(super) struct Became {
    #[schema(example = "api:user123")]
    pub(super) instance: String,
    #[schema(value_type = words::Status)]
    pub(super) status: &'static str,
}

/// A started instance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StartedInstance)]
pub(super) struct Started {
    #[schema(example = "api:user123")]
    instance: String,
    /// The path it is asked to listen on.
    socket: String,
    #[schema(value_type = words::Status)]
    status: &'static str,
    /// Time since it became ready.
    uptime_ms: u64,
}

impl Started {
    pub(super) fn of(view: &InstanceView) -> Self {
        Self {
            instance: view.name.to_string(),
            socket: view.socket.to_string_lossy().into_owned(),
            status: view.status.as_str(),
            uptime_ms: view.uptime_ms,
        }
    }
}
