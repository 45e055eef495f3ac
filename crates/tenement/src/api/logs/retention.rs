//! `/api/logs/retention`: how much is kept, and the configuration's word on it taken anew.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tenement_core::{name::ServiceName, time::WallMillis};
use tenement_logs::StreamLimits;
use utoipa::ToSchema;

use super::super::{Api, ApiError, blocking::blocking, config, instances::timestamp, reload::CHANGING};

/// How much is kept of logs.
#[derive(Serialize, ToSchema)]
#[schema(as = LogRetention)]
pub(super) struct Kept {
    /// Bytes over all instances that are kept at most.
    log_max_size: u64,
    /// `drop-oldest` or `wait`.
    log_disk_full: &'static str,
    /// Bytes of the files of all logs.
    bytes: u64,
    /// Bytes of lines in closed segments that no index has yet: they are found too, only slower.
    unindexed_bytes: u64,
    /// When the oldest line of all came.
    #[schema(format = DateTime)]
    oldest: Option<String>,
    /// The disk has no room, or had none a few seconds ago.
    disk_full: bool,
    /// Bytes of old lines that went since the daemon started because the disk was full.
    disk_full_let_go_bytes: u64,
    /// Those of the configuration, and those of which something is kept.
    services: Vec<OfService>,
}

/// What is kept of the instances of a service.
#[derive(Serialize, ToSchema)]
#[schema(as = ServiceLogRetention)]
struct OfService {
    service: String,
    /// Seconds, of each instance.
    log_retention: f64,
    /// Bytes, of each instance.
    log_max_size: u64,
    /// Lines per second of each instance; null: all are kept.
    log_rate_limit: Option<u32>,
    /// Of so many instances something is kept.
    instances: usize,
    /// Bytes of their files.
    bytes: u64,
    /// When the oldest line came.
    #[schema(format = DateTime)]
    oldest: Option<String>,
    /// Lines that were left out since the daemon started, for `log_rate_limit`.
    lines_left_out: u64,
}

#[derive(Default)]
struct Sum {
    instances: usize,
    bytes: u64,
    oldest: Option<WallMillis>,
    left_out: u64,
    unindexed: u64,
}

/// What is kept of logs
///
/// The limits in force, and what there is.
#[utoipa::path(
    get, path = "/api/logs/retention", operation_id = "get_log_retention", tag = "logs",
    responses((status = 200, description = "What is kept", body = Kept)),
    security(("bearer" = ["admin", "unbound"])),
)]
pub(super) async fn get(State(api): State<Api>) -> Result<Json<Kept>, ApiError> {
    blocking(move || Ok::<_, ApiError>(Json(kept(&api)))).await
}

/// Change how much is kept of logs
///
/// Takes the keys `log_*` anew from the configuration file, and nothing else of it. What is too much by them goes at
/// once. A file with errors changes nothing: that is a 422, whose `errors` has all of them.
#[utoipa::path(
    post, path = "/api/logs/retention", operation_id = "apply_log_retention", tag = "logs",
    responses(
        (status = 200, description = "What is kept from now on", body = Kept),
    ),
    security(("bearer" = ["admin", "unbound"])),
)]
pub(super) async fn apply(State(api): State<Api>) -> Result<Response, ApiError> {
    let _turn = CHANGING.lock().await;
    let applied = blocking(move || {
        let path = api.about.config.load().path.clone();
        Ok::<_, ApiError>(match config::of_file(path.as_deref(), false) {
            Ok((file, text, _)) => {
                api.retention.take_from(&file, &text);
                Json(kept(&api)).into_response()
            }
            Err(refused) => refused.into_response(),
        })
    });
    applied.await
}

fn kept(api: &Api) -> Kept {
    let (limits, config, disk) = (api.logs.limits(), api.retention.config(), api.logs.disk());
    let mut sums: BTreeMap<ServiceName, Sum> = BTreeMap::new();
    for service in config.services.keys() {
        sums.entry(service.clone()).or_default();
    }
    let mut oldest = api.logs.oldest();
    for (name, stats) in api.logs.stats() {
        let sum = sums.entry(name.service.clone()).or_default();
        let first = oldest.remove(&name);
        sum.instances += usize::from(stats.bytes > 0);
        sum.bytes += stats.bytes;
        sum.left_out += stats.lines_left_out;
        sum.unindexed += stats.unindexed;
        sum.oldest = sum.oldest.into_iter().chain(first).min();
    }
    Kept {
        log_max_size: limits.max_size,
        log_disk_full: config.settings.log_disk_full.as_str(),
        bytes: sums.values().map(|sum| sum.bytes).sum(),
        unindexed_bytes: sums.values().map(|sum| sum.unindexed).sum(),
        oldest: sums.values().filter_map(|sum| sum.oldest).min().map(timestamp),
        disk_full: disk.full,
        disk_full_let_go_bytes: disk.let_go,
        services: sums
            .into_iter()
            .map(|(name, sum)| {
                let limits = limits.services.get(&name).copied().unwrap_or(limits.instance);
                of_service(&name, limits, &sum)
            })
            .collect(),
    }
}

fn of_service(name: &ServiceName, limits: StreamLimits, sum: &Sum) -> OfService {
    OfService {
        service: name.to_string(),
        log_retention: limits.retention.as_secs_f64(),
        log_max_size: limits.max_size,
        log_rate_limit: limits.rate,
        instances: sum.instances,
        bytes: sum.bytes,
        oldest: sum.oldest.map(timestamp),
        lines_left_out: sum.left_out,
    }
}
