//! `GET /api/logs/sinks`: how what goes out is.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::{Api, ApiError, blocking::blocking, instances::timestamp};
use crate::sinks::Seen;

#[derive(Serialize, ToSchema)]
#[schema(as = LogSinkList)]
pub(super) struct All {
    sinks: Vec<View>,
}

/// One sink.
#[derive(Serialize, ToSchema)]
#[schema(as = LogSink)]
struct View {
    name: String,
    /// Whose lines it takes; none: everybody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    service: Option<String>,
    /// `otlp`, `syslog` or `file`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Where to.
    target: String,
    /// `ok`, or `failing`: then its lines wait, and it is tried again.
    status: &'static str,
    /// Delivered since the daemon started.
    lines: u64,
    /// Refused for good, and passed.
    refused: u64,
    /// Gone by their retention, or erased, before they were delivered.
    dropped: u64,
    retries: u64,
    /// Lines that are not delivered yet.
    waiting: u64,
    /// Since when it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    failing_since: Option<String>,
    /// The last one, whether it is over or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_error: Option<String>,
}

impl From<Seen> for View {
    fn from(seen: Seen) -> Self {
        Self {
            name: seen.name,
            service: seen.service.map(|name| name.to_string()),
            kind: seen.kind,
            target: seen.target,
            status: if seen.failing.is_some() { "failing" } else { "ok" },
            lines: seen.lines,
            refused: seen.refused,
            dropped: seen.dropped,
            retries: seen.retries,
            waiting: seen.waiting,
            failing_since: seen.failing.map(timestamp),
            last_error: seen.error,
        }
    }
}

/// Log sinks
///
/// Where lines go besides the store, by `[[settings.log_sink]]` and `[[service.NAME.log_sink]]`, and how that goes.
#[utoipa::path(
    get, path = "/api/logs/sinks", operation_id = "list_log_sinks", tag = "logs",
    responses((status = 200, description = "All of them", body = All)),
    security(("bearer" = ["read", "unbound"])),
)]
pub(super) async fn sinks(State(api): State<Api>) -> Result<Json<All>, ApiError> {
    let seen = blocking(move || Ok::<_, ApiError>(api.sinks.look(&api.logs))).await?;
    Ok(Json(All { sinks: seen.into_iter().map(View::from).collect() }))
}
