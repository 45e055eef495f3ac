//! `/api/metrics`: what instances use and serve, and did so over the last week.

mod curves;

use std::time::Duration;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tenement_core::{
    name::InstanceName,
    slot::StatusClass,
    view::{CheckCounts, InstanceView},
};
use tenement_runtime::clock;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api, ApiError, Caller,
    page::{Page, Pagination, Whole},
    query::{Instance, QueryOf},
    usage,
};

/// What one instance uses and serves.
#[derive(Debug, Serialize, ToSchema)]
struct Metrics {
    /// `service:id`.
    #[schema(example = "api:user123")]
    instance: String,
    /// Since it became ready; 0 while it is not.
    uptime_seconds: f64,
    /// MiB of its whole process tree.
    memory_mb: f64,
    /// Of one core, since the last look.
    cpu_percent: f64,
    /// Answers since it became known.
    requests_total: u64,
    /// Over the last 60 seconds, or its life if that is shorter.
    requests_per_second: f64,
    /// Those of them with a status of 500 or above.
    errors_total: u64,
    /// The share of errors, in percent.
    error_rate: f64,
    /// Since it became known; the probes of a start don't count.
    health_checks: HealthChecks,
}

/// How health checks ended.
#[derive(Debug, Serialize, ToSchema)]
struct HealthChecks {
    total: u64,
    passed: u64,
    failed: u64,
}

impl From<CheckCounts> for HealthChecks {
    fn from(CheckCounts { passed, failed }: CheckCounts) -> Self {
        Self { total: passed + failed, passed, failed }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Of this service only.
    service: Option<String>,
    /// At most so many; everything without it. Above 1000 it is 1000.
    #[param(inline, value_type = Option<Whole>)]
    limit: Option<String>,
    /// Skips so many.
    #[param(inline, value_type = Option<Whole>)]
    offset: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MetricsList)]
struct List {
    instances: Vec<Metrics>,
    pagination: Pagination,
}

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(of_instance)).routes(routes!(curves::history))
}

/// List the metrics of instances
///
/// All that are known, by service then id.
#[utoipa::path(
    get, path = "/api/metrics", operation_id = "list_metrics", tag = "metrics", params(ListQuery),
    responses((status = 200, description = "A page of instances", body = List)),
    security(("bearer" = ["read"])),
)]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    QueryOf(query): QueryOf<ListQuery>,
) -> Result<Json<List>, ApiError> {
    let page = Page::parse(query.limit.as_deref(), query.offset.as_deref())?;
    let mut views = api.supervisor.list().await;
    let wanted =
        |name: &InstanceName| query.service.as_deref().is_none_or(|service| name.service.as_str() == service);
    views.retain(|view| caller.sees(&view.name) && wanted(&view.name));
    let (views, pagination) = page.cut(views);
    Ok(Json(List { instances: measure(&api, &views).await, pagination }))
}

/// Get an instance's metrics
///
/// While it sleeps they are 0, but for the totals.
#[utoipa::path(
    get, path = "/api/metrics/{service}/{id}", operation_id = "get_metrics", tag = "metrics",
    params(Instance),
    responses((status = 200, description = "What it uses and serves", body = Metrics)),
    security(("bearer" = ["read"])),
)]
async fn of_instance(
    State(api): State<Api>,
    caller: Caller,
    Instance { service, id }: Instance,
) -> Result<Json<Metrics>, ApiError> {
    let view = api.supervisor.get(&caller.named(&service, &id)?).await?;
    let measured = measure(&api, std::slice::from_ref(&view)).await.pop();
    measured.map(Json).ok_or_else(|| ApiError::instance_not_found(&service, &id))
}

/// Looks at these and no others.
async fn measure(api: &Api, views: &[InstanceView]) -> Vec<Metrics> {
    let usage = usage::look(api, views).await;
    let routes = api.supervisor.routes().load_full();
    let now = clock::now();
    let one = |view: &InstanceView| {
        let traffic = routes.slot(&view.name).map(|slot| &slot.traffic);
        let requests = traffic.map_or(0, |traffic| traffic.requests());
        let errors = traffic.map_or(0, |traffic| traffic.responses(StatusClass::ServerError));
        let used = usage.get(&view.name).copied().unwrap_or_default();
        let uptime = Duration::from_millis(view.uptime_ms);
        Metrics {
            instance: view.name.to_string(),
            uptime_seconds: view.uptime_ms as f64 / 1000.0,
            memory_mb: used.memory_mb,
            cpu_percent: used.cpu_percent,
            requests_total: requests,
            requests_per_second: hundredths(api.samples.per_second(&view.name, now, requests, uptime)),
            errors_total: errors,
            error_rate: error_rate(errors, requests),
            health_checks: view.checks.into(),
        }
    };
    views.iter().map(one).collect()
}

/// In percent.
fn error_rate(errors: u64, requests: u64) -> f64 {
    hundredths(100.0 * errors as f64 / requests.max(1) as f64)
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_errors_is_a_percentage() {
        let shares = [(2, 1523, 0.13), (0, 0, 0.0), (1, 1, 100.0), (1, 3, 33.33)];
        for (errors, requests, expected) in shares {
            assert!((error_rate(errors, requests) - expected).abs() < 1e-9, "{errors} of {requests}");
        }
    }
}
