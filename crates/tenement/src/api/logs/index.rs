//! `/api/logs/reindex`.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::{Api, ApiError, blocking::blocking};

/// What is left to do.
#[derive(Serialize, ToSchema)]
#[schema(as = LogIndexing)]
pub(super) struct Indexing {
    /// `indexing`.
    status: &'static str,
    /// Bytes of lines in closed segments that no index has.
    unindexed_bytes: u64,
}

/// Make the indexes of all logs anew
///
/// In the background; every line is found all the time. `GET /api/logs/retention` says how much is left.
#[utoipa::path(
    post, path = "/api/logs/reindex", operation_id = "reindex_logs", tag = "logs",
    responses((status = 202, description = "The indexes are being made", body = Indexing)),
    security(("bearer" = ["admin", "unbound"])),
)]
pub(super) async fn reindex(State(api): State<Api>) -> Result<(StatusCode, Json<Indexing>), ApiError> {
    blocking(move || {
        api.logs.reindex().map_err(|error| ApiError::internal(&error))?;
        let unindexed_bytes = api.logs.stats().values().map(|stats| stats.unindexed).sum();
        Ok::<_, ApiError>((StatusCode::ACCEPTED, Json(Indexing { status: "indexing", unindexed_bytes })))
    })
    .await
}
