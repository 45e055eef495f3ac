//! `GET /api/status`: the daemon itself.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use tenement_core::{route::ServiceRoutes, view::Status};
use tenement_runtime::process::{Capabilities, Strategy};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api, Caller,
    blocking::blocking,
    instances::{mebibytes, timestamp},
};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(status))
}

#[derive(Serialize, ToSchema)]
#[schema(as = DaemonStatus)]
struct Daemon {
    version: &'static str,
    /// `ok`, or `draining` while the daemon ends.
    status: &'static str,
    /// Not for tokens that are bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pid: Option<u32>,
    uptime_ms: u64,
    instances: Counts,
    /// MiB of the process trees of the instances.
    memory_mb: f64,
    /// Answered since the daemon started.
    requests: u64,
    /// What this machine can enforce, in words.
    host: String,
    enforces: Enforced,
    /// Not for tokens that are bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    data_dir: Option<String>,
    /// What was lost of the daemon's own state, and where what is left of it is. Each until its file is removed. Not for
    /// tokens that are bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    lost: Option<Vec<String>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = InstanceCounts)]
struct Counts {
    running: usize,
    known: usize,
}

/// What this machine can enforce.
#[derive(Serialize, ToSchema)]
#[schema(as = HostEnforces)]
struct Enforced {
    /// What holds a process tree together: `v2`, `v1` or `none`.
    cgroups: &'static str,
    /// A tree can be ended at once and without gaps.
    ends_trees_at_once: bool,
    /// Memory of a tree is counted by the kernel; otherwise resident sizes are added up.
    counts_memory: bool,
    /// Processor time of a tree is counted by the kernel, that of ended processes included.
    counts_cpu: bool,
    /// Memory and processes of a tree can be limited.
    limits: bool,
}

impl From<Capabilities> for Enforced {
    fn from(host: Capabilities) -> Self {
        Self {
            cgroups: match host.strategy {
                Strategy::Unified => "v2",
                Strategy::Freezer => "v1",
                Strategy::Walk => "none",
            },
            ends_trees_at_once: host.kills_atomically,
            counts_memory: host.measures_memory,
            counts_cpu: host.measures_cpu,
            limits: host.limits,
        }
    }
}

/// The daemon, and what this machine can enforce
///
/// A token that is bound sees its own instances counted only.
#[utoipa::path(
    get, path = "/api/status", operation_id = "status", tag = "daemon",
    responses((status = 200, description = "How it is", body = Daemon)),
    security(("bearer" = ["read"])),
)]
async fn status(State(api): State<Api>, caller: Caller) -> Json<Daemon> {
    let lost = if caller.is_bound() { None } else { Some(lost(&api).await) };
    let mut views = api.supervisor.list().await;
    views.retain(|view| caller.sees(&view.name));
    let running = views.iter().filter(|view| view.status == Status::Running).count();
    let mut usage = api.supervisor.usage().await;
    usage.retain(|name, _| caller.sees(name));
    let requests = requests(&api, &caller);
    Json(Daemon {
        version: env!("CARGO_PKG_VERSION"),
        status: if api.is_draining() { "draining" } else { "ok" },
        pid: (!caller.is_bound()).then(std::process::id),
        uptime_ms: u64::try_from(api.about.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        instances: Counts { running, known: views.len() },
        memory_mb: mebibytes(usage.values().map(|used| used.memory_bytes).sum()),
        requests,
        host: api.about.host.to_string(),
        enforces: api.about.host.into(),
        data_dir: (!caller.is_bound()).then(|| api.about.data_dir.to_string_lossy().into_owned()),
        lost,
    })
}

/// Whoever looks here wants an answer above all when the disk gives none.
async fn lost(api: &Api) -> Vec<String> {
    let (store, since) = (Arc::clone(&api.store), api.about.started_at);
    match blocking(move || store.losses(since)).await {
        Ok(losses) => {
            losses.into_iter().map(|loss| format!("{}: {}", timestamp(loss.at), loss.what)).collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

/// Those of instances that are gone count for who sees all of their service.
fn requests(api: &Api, caller: &Caller) -> u64 {
    let routes = api.supervisor.routes().load();
    let of_service = |service: &Arc<ServiceRoutes>| {
        let slots = service.slots().filter(|slot| caller.sees(slot.name()));
        let now: u64 = slots.map(|slot| slot.traffic.requests()).sum();
        let sees_all = caller.sees_all_of(&service.service().name);
        now + if sees_all { service.counts().retired.responses.iter().sum() } else { 0 }
    };
    routes.services().map(of_service).sum()
}
