//! `GET …/wait`: until an instance is what it should be.

use std::time::Duration;

use axum::{Json, extract::State};
use serde::Deserialize;
use tenement_core::view::Status;
use tenement_supervisor::CommandError;
use utoipa::IntoParams;

use super::view::Details;
use crate::api::{
    Api, ApiError, Caller,
    page::Whole,
    query::{Instance, QueryOf},
    stream::{self, End},
    words,
};

const DEFAULT: u64 = 60;
const MAX: u64 = 600;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitQuery {
    /// What to wait for; `running` without it.
    #[param(inline, value_type = Option<words::Status>)]
    status: Option<String>,
    /// For how many seconds at most; 60 without it. Above 600 it is 600.
    #[param(inline, value_type = Option<Whole>)]
    timeout: Option<String>,
}

/// Wait for an instance
///
/// Answers as soon as its status is the wanted one.
#[utoipa::path(
    get, path = "/api/instances/{service}/{id}/wait", operation_id = "wait_for_instance", tag = "instances",
    params(Instance, WaitQuery),
    responses(
        (status = 200, description = "It is what was waited for", body = Details),
        (status = 408, description = "It was not in that time", body = inline(crate::api::error::Envelope)),
    ),
    security(("bearer" = ["read"])),
)]
pub(super) async fn wait(
    State(api): State<Api>,
    caller: Caller,
    Instance { service, id }: Instance,
    QueryOf(query): QueryOf<WaitQuery>,
) -> Result<Json<Details>, ApiError> {
    let word = query.status.as_deref().unwrap_or(Status::Running.as_str());
    let wanted = Status::from_word(word)
        .ok_or_else(|| ApiError::bad_request(format!("'status' can't be '{}'", word.escape_debug())))?;
    let seconds = match query.timeout.as_deref() {
        None => DEFAULT,
        Some(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().unwrap_or(MAX).min(MAX)
        }
        Some(_) => return Err(ApiError::bad_request("'timeout' must be whole seconds, 0 or more")),
    };
    let name = caller.named(&service, &id)?;
    let found = async {
        let mut changes = api.history.changes();
        loop {
            let view = api.supervisor.get(&name).await?;
            if view.status == wanted {
                return Ok(Details::of(&view, &caller));
            }
            // The history is a part of the API, so it is there as long as this is.
            let _ = changes.changed().await;
        }
    };
    let waited = tokio::select! {
        waited = tokio::time::timeout(Duration::from_secs(seconds), found) => waited,
        end = stream::ended(Some(&caller), &api.draining) => {
            return Err(match end {
                End::Caller => ApiError::unauthorized(),
                End::Daemon => CommandError::ShuttingDown.into(),
            });
        }
    };
    match waited {
        Ok(found) => found.map(Json),
        Err(_) => Err(ApiError::timeout(format!("Instance '{name}' was not {wanted} within {seconds} s"))),
    }
}
