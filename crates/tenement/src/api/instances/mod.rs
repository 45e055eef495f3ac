//! `/api/instances`: the list, and one of it.

mod change;
mod config;
mod spawn;
mod view;
mod wait;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tenement_core::view::{Health, InstanceView, Status};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::view::{Details, Summary};
pub(crate) use self::view::{mebibytes, timestamp};
use super::{
    Api, ApiError, Caller,
    page::{Page, Pagination, Whole},
    query::{Instance, QueryOf},
    usage, words,
};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, spawn::spawn))
        .routes(routes!(get, change::delete))
        .routes(routes!(config::get))
        .routes(routes!(change::restart))
        .routes(routes!(change::start))
        .routes(routes!(change::stop))
        .routes(routes!(wait::wait))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Of this service only.
    service: Option<String>,
    /// In this status only.
    #[param(inline, value_type = Option<words::Status>)]
    status: Option<String>,
    /// In this health only.
    #[param(inline, value_type = Option<words::Health>)]
    health: Option<String>,
    /// At most so many; everything without it. Above 1000 it is 1000.
    #[param(inline, value_type = Option<Whole>)]
    limit: Option<String>,
    /// Skips so many.
    #[param(inline, value_type = Option<Whole>)]
    offset: Option<String>,
    /// Adds `memory_mb` and `cpu_percent`.
    usage: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = InstanceList)]
struct List {
    instances: Vec<Summary>,
    pagination: Pagination,
}

impl ListQuery {
    fn wants(&self) -> Result<impl Fn(&InstanceView) -> bool, ApiError> {
        let unknown = |key: &str, word: &str| ApiError::bad_request(format!("'{key}' can't be '{word}'"));
        let status = self.status.as_deref();
        let status = status.map(|word| Status::from_word(word).ok_or_else(|| unknown("status", word)));
        let health = self.health.as_deref();
        let health = health.map(|word| Health::from_word(word).ok_or_else(|| unknown("health", word)));
        let (status, health) = (status.transpose()?, health.transpose()?);
        Ok(move |view: &InstanceView| {
            self.service.as_deref().is_none_or(|service| view.name.service.as_str() == service)
                && status.is_none_or(|status| view.status == status)
                && health.is_none_or(|health| view.health == health)
        })
    }
}

/// List instances
///
/// All that are known, those that sleep, are stopped or failed too, by service then id.
#[utoipa::path(
    get, path = "/api/instances", operation_id = "list_instances", tag = "instances", params(ListQuery),
    responses((status = 200, description = "A page of instances", body = List)),
    security(("bearer" = ["read"])),
)]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    QueryOf(query): QueryOf<ListQuery>,
) -> Result<Json<List>, ApiError> {
    let page = Page::parse(query.limit.as_deref(), query.offset.as_deref())?;
    let wanted = query.wants()?;
    let mut views = api.supervisor.list().await;
    views.retain(|view| caller.sees(&view.name) && wanted(view));
    let (views, pagination) = page.cut(views);
    let usage = if query.usage.unwrap_or(false) { Some(usage::look(&api, &views).await) } else { None };
    let entry = |view: &InstanceView| {
        let usage = usage.as_ref().map(|usage| usage.get(&view.name).copied().unwrap_or_default());
        Summary::of(view, usage, &caller)
    };
    Ok(Json(List { instances: views.iter().map(entry).collect(), pagination }))
}

/// Get an instance
#[utoipa::path(
    get, path = "/api/instances/{service}/{id}", operation_id = "get_instance", tag = "instances",
    params(Instance),
    responses((status = 200, description = "The instance", body = Details)),
    security(("bearer" = ["read"])),
)]
async fn get(
    State(api): State<Api>,
    caller: Caller,
    Instance { service, id }: Instance,
) -> Result<Json<Details>, ApiError> {
    let view = api.supervisor.get(&caller.named(&service, &id)?).await?;
    Ok(Json(Details::of(&view, &caller)))
}
