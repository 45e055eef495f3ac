//! `GET /health`.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde_json::json;

use super::Api;

pub(super) async fn health(State(api): State<Api>) -> impl IntoResponse {
    let (code, status) = if api.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else {
        (StatusCode::OK, "ok")
    };
    (code, Json(json!({ "status": status, "version": env!("CARGO_PKG_VERSION") })))
}
