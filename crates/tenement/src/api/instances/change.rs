//! What is done to an instance that is known.

use axum::{Json, extract::State};
use serde::Deserialize;
use tenement_core::view::Status;
use tenement_supervisor::StopMode;
use utoipa::IntoParams;

use super::{
    spawn::{SpawnQuery, WaitQuery, ready, starts},
    view::{Became, Started},
};
use crate::api::{
    Api, ApiError, Caller,
    query::{Instance, QueryOf},
};

/// Restart an instance
///
/// Answers at once. One that sleeps, is stopped or failed is started.
#[utoipa::path(
    post, path = "/api/instances/{service}/{id}/restart", operation_id = "restart_instance", tag = "instances",
    params(Instance),
    responses((status = 200, description = "It is being restarted", body = Became)),
    security(("bearer" = ["write"])),
)]
pub(super) async fn restart(
    State(api): State<Api>,
    caller: Caller,
    Instance { service, id }: Instance,
) -> Result<Json<Became>, ApiError> {
    let name = caller.named(&service, &id)?;
    starts(&api)?;
    let view = api.supervisor.by(caller.actor()).restart(name).await?;
    Ok(Json(Became { instance: view.name.to_string(), status: Status::Restarting.as_str() }))
}

/// Start an instance
///
/// One that is known and sleeps, is stopped or failed, with the environment it was spawned with.
#[utoipa::path(
    post, path = "/api/instances/{service}/{id}/start", operation_id = "start_instance", tag = "instances",
    params(Instance, WaitQuery),
    responses(
        (status = 200, description = "It is ready, or with `wait=false` starting", body = Started),
        (status = 409, description = "It runs, or is about to", body = inline(crate::api::error::Envelope)),
        (status = 503, description = "It did not become ready", body = inline(crate::api::error::Envelope)),
    ),
    security(("bearer" = ["write"])),
)]
pub(super) async fn start(
    State(api): State<Api>,
    caller: Caller,
    Instance { service, id }: Instance,
    QueryOf(query): QueryOf<WaitQuery>,
) -> Result<Json<Started>, ApiError> {
    let name = caller.named(&service, &id)?;
    api.supervisor.get(&name).await?;
    let view = ready(&api, &caller, name, None, SpawnQuery::of_start(query)).await?;
    Ok(Json(Started::of(&view)))
}

/// Stop an instance
///
/// Ends its whole process tree and keeps it: it is listed as `stopped`, its host name answers 503, and only a start
/// or a spawn brings it back.
#[utoipa::path(
    post, path = "/api/instances/{service}/{id}/stop", operation_id = "stop_instance", tag = "instances",
    params(Instance),
    responses((status = 200, description = "It is stopped", body = Became)),
    security(("bearer" = ["write"])),
)]
pub(super) async fn stop(
    State(api): State<Api>,
    caller: Caller,
    Instance { service, id }: Instance,
) -> Result<Json<Became>, ApiError> {
    end(&api, &caller, &service, &id, StopMode::Keep).await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteQuery {
    /// Stops without forgetting.
    keep: Option<bool>,
    /// Erases its data directory, its logs and its events too, and revokes the tokens that are bound to it. Also what is
    /// left of one that was deleted before.
    purge: Option<bool>,
}

/// Stop and forget an instance
///
/// Its data directory stays unless the service says otherwise, its logs until their retention ends.
#[utoipa::path(
    delete, path = "/api/instances/{service}/{id}", operation_id = "delete_instance", tag = "instances",
    params(Instance, DeleteQuery),
    responses((status = 200, description = "Its whole process tree is gone", body = Became)),
    security(("bearer" = ["write"])),
)]
pub(super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Instance { service, id }: Instance,
    QueryOf(query): QueryOf<DeleteQuery>,
) -> Result<Json<Became>, ApiError> {
    let mode = match (query.keep.unwrap_or(false), query.purge.unwrap_or(false)) {
        (true, true) => return Err(ApiError::bad_request("'keep' and 'purge' exclude each other")),
        (true, false) => StopMode::Keep,
        (false, true) => StopMode::Purge,
        (false, false) => StopMode::Forget,
    };
    end(&api, &caller, &service, &id, mode).await
}

async fn end(
    api: &Api,
    caller: &Caller,
    service: &str,
    id: &str,
    mode: StopMode,
) -> Result<Json<Became>, ApiError> {
    let name = caller.named(service, id)?;
    if mode == StopMode::Purge {
        // With the tokens for it the store ends those that came by a link until then; no link may outlast that.
        api.links.forget(&name);
    }
    api.supervisor.by(caller.actor()).stop(name.clone(), mode).await?;
    if mode == StopMode::Purge {
        api.links.forget(&name);
    }
    Ok(Json(Became { instance: name.to_string(), status: Status::Stopped.as_str() }))
}
