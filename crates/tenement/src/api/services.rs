//! `GET /api/services`: what is configured, and how much of it runs.

use axum::{Json, extract::State};
use serde::Serialize;
use tenement_core::{config::Service, view::InstanceView};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api, ApiError, Caller,
    page::{PageQuery, Pagination},
    query::QueryOf,
    tally::Tally,
};

/// One service of the configuration. Its environment is not shown: `GET /api/config` does that.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Service)]
struct ServiceEntry {
    name: String,
    /// With its arguments; placeholders not filled in. Not for tokens that are bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    command: Option<String>,
    /// Not for tokens that are bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    socket: Option<String>,
    /// Path of the health check.
    health: Option<String>,
    /// Which instances a request may start: `known`, `any` or `false`.
    on_demand: &'static str,
    autostart: bool,
    /// Seconds without a request before it sleeps; `null` is never.
    idle_timeout: Option<f64>,
    /// Seconds until it has to be ready.
    startup_timeout: f64,
    restart: &'static str,
    isolation: &'static str,
    max_instances: usize,
    /// Known instances.
    instances: Tally,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ServiceList)]
struct List {
    services: Vec<ServiceEntry>,
    pagination: Pagination,
}

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

/// List services
///
/// Those of the configuration, by name, each with the number of its instances. A token that is bound sees its own
/// service, and its own instances counted only.
#[utoipa::path(
    get, path = "/api/services", operation_id = "list_services", tag = "configuration", params(PageQuery),
    responses((status = 200, description = "A page of services", body = List)),
    security(("bearer" = ["read"])),
)]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<List>, ApiError> {
    let page = query.page()?;
    let mut views = api.supervisor.list().await;
    views.retain(|view| caller.sees(&view.name));
    let config = api.about.config.load_full();
    let services = config.services.values();
    let services = services.filter(|service| caller.sees_service(&service.name)).collect();
    let (services, pagination) = page.cut(services);
    let entries = services.into_iter().map(|service| entry(service, &views, !caller.is_bound())).collect();
    Ok(Json(List { services: entries, pagination }))
}

fn entry(service: &Service, views: &[InstanceView], whole: bool) -> ServiceEntry {
    let own = views.iter().filter(|view| view.name.service == service.name);
    ServiceEntry {
        name: service.name.to_string(),
        command: whole.then(|| service.command_line()),
        socket: whole.then(|| service.socket.to_string()),
        health: service.health.clone(),
        on_demand: service.on_demand.as_str(),
        autostart: service.autostart,
        idle_timeout: service.idle_timeout.map(|timeout| timeout.as_secs_f64()),
        startup_timeout: service.startup_timeout.as_secs_f64(),
        restart: service.restart.as_str(),
        isolation: service.isolation.as_str(),
        max_instances: service.max_instances,
        instances: own.map(|view| view.status).collect(),
    }
}
