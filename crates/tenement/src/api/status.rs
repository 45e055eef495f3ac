//! `GET /api/status`: the daemon itself.

use axum::{Json, extract::State};
use serde_json::{Value, json};
use tenement_core::view::Status;

use super::{Api, instances::mebibytes};

pub(super) async fn status(State(api): State<Api>) -> Json<Value> {
    let views = api.supervisor.list().await;
    let running = views.iter().filter(|view| view.status == Status::Running).count();
    let usage = api.supervisor.usage().await;
    let requests: u64 = {
        let routes = api.supervisor.routes().load();
        let services: Vec<_> = routes.services().cloned().collect();
        services.iter().flat_map(|service| service.slots()).map(|slot| slot.traffic.requests()).sum()
    };
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "status": if api.is_draining() { "draining" } else { "ok" },
        "pid": std::process::id(),
        "uptime_ms": u64::try_from(api.about.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "instances": { "running": running, "known": views.len() },
        "memory_mb": mebibytes(usage.values().map(|used| used.memory_bytes).sum()),
        "requests": requests,
        "host": api.about.host,
        "data_dir": api.about.data_dir.to_string_lossy(),
    }))
}
