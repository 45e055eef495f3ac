//! `GET /health`.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::Api;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(health))
}

#[derive(Serialize, ToSchema)]
#[schema(as = Liveness)]
struct Daemon {
    /// `ok`, or `draining` while the daemon ends.
    status: &'static str,
    version: &'static str,
}

/// Whether the daemon serves
#[utoipa::path(
    get, path = "/health", operation_id = "health", tag = "daemon",
    responses(
        (status = 200, description = "It serves", body = Daemon),
        (status = 503, description = "It is ending", body = Daemon),
    ),
)]
async fn health(State(api): State<Api>) -> impl IntoResponse {
    let (code, status) = if api.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else {
        (StatusCode::OK, "ok")
    };
    (code, Json(Daemon { status, version: env!("CARGO_PKG_VERSION") }))
}
