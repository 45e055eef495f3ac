//! `GET /api/services`: what is configured, and how much of it runs.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenement_core::{
    config::Service,
    view::{InstanceView, Status},
};

use super::{Api, ApiError, page::Page, query::QueryOf};

/// One service of the configuration. Its environment is not shown: `GET /api/config` does that.
#[derive(Debug, Serialize)]
pub(super) struct ServiceEntry {
    name: String,
    /// With its arguments; placeholders not filled in.
    command: String,
    socket: String,
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
    instances: Counts,
}

/// Known instances by status.
#[derive(Debug, Serialize)]
pub(super) struct Counts {
    total: usize,
    #[serde(flatten)]
    by_status: BTreeMap<&'static str, usize>,
}

#[derive(Deserialize)]
pub(super) struct ListQuery {
    limit: Option<String>,
    offset: Option<String>,
}

pub(super) async fn list(
    State(api): State<Api>,
    QueryOf(query): QueryOf<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    let page = Page::parse(query.limit.as_deref(), query.offset.as_deref())?;
    let views = api.supervisor.list().await;
    let entries = api.about.config.services.values().map(|service| entry(service, &views)).collect();
    let (services, pagination) = page.cut(entries);
    Ok(Json(json!({ "services": services, "pagination": pagination })))
}

fn entry(service: &Service, views: &[InstanceView]) -> ServiceEntry {
    ServiceEntry {
        name: service.name.to_string(),
        command: service.command_line(),
        socket: service.socket.to_string(),
        health: service.health.clone(),
        on_demand: service.on_demand.as_str(),
        autostart: service.autostart,
        idle_timeout: service.idle_timeout.map(|timeout| timeout.as_secs_f64()),
        startup_timeout: service.startup_timeout.as_secs_f64(),
        restart: service.restart.as_str(),
        isolation: service.isolation.as_str(),
        max_instances: service.max_instances,
        instances: Counts::of(views.iter().filter(|view| view.name.service == service.name)),
    }
}

impl Counts {
    fn of<'v>(views: impl Iterator<Item = &'v InstanceView>) -> Self {
        let mut by_status: BTreeMap<_, _> = Status::ALL.iter().map(|status| (status.as_str(), 0)).collect();
        let mut total = 0;
        for view in views {
            total += 1;
            *by_status.entry(view.status.as_str()).or_default() += 1;
        }
        Self { total, by_status }
    }
}
