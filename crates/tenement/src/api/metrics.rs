//! `/api/metrics`: what instances use and serve.

use std::time::Duration;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenement_core::{
    name::InstanceName,
    slot::StatusClass,
    view::{CheckCounts, InstanceView},
};
use tenement_runtime::clock;

use super::{
    Api, ApiError,
    error::named,
    instances::mebibytes,
    page::Page,
    query::{Instance, QueryOf},
};

/// What one instance uses and serves.
#[derive(Debug, Serialize)]
pub(super) struct Metrics {
    /// Which.
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
#[derive(Debug, Serialize)]
pub(super) struct HealthChecks {
    total: u64,
    passed: u64,
    failed: u64,
}

impl From<CheckCounts> for HealthChecks {
    fn from(CheckCounts { passed, failed }: CheckCounts) -> Self {
        Self { total: passed + failed, passed, failed }
    }
}

#[derive(Deserialize)]
pub(super) struct ListQuery {
    service: Option<String>,
    limit: Option<String>,
    offset: Option<String>,
}

pub(super) async fn list(
    State(api): State<Api>,
    QueryOf(query): QueryOf<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    let page = Page::parse(query.limit.as_deref(), query.offset.as_deref())?;
    let wanted = |view: &InstanceView| {
        query.service.as_deref().is_none_or(|service| view.name.service.as_str() == service)
    };
    let views = api.supervisor.list().await.into_iter().filter(wanted).collect();
    let (views, pagination) = page.cut(views);
    Ok(Json(json!({ "instances": measure(&api, &views).await, "pagination": pagination })))
}

pub(super) async fn of_instance(
    State(api): State<Api>,
    Instance(service, id): Instance,
) -> Result<Json<Metrics>, ApiError> {
    let view = api.supervisor.get(&named(&service, &id)?).await?;
    let measured = measure(&api, std::slice::from_ref(&view)).await.pop();
    measured.map(Json).ok_or_else(|| ApiError::instance_not_found(&service, &id))
}

/// Looks at these and no others.
async fn measure(api: &Api, views: &[InstanceView]) -> Vec<Metrics> {
    let used = api.supervisor.usage_of(views.iter().map(|view| view.name.clone()).collect()).await;
    let uptime_of = |name: &InstanceName| {
        let view = views.binary_search_by(|view| view.name.cmp(name));
        view.map(|at| Duration::from_millis(views[at].uptime_ms)).unwrap_or_default()
    };
    let percent = api.samples.percent(clock::instant(), &used, uptime_of);
    let routes = api.supervisor.routes().load_full();
    let now = clock::now();
    let one = |view: &InstanceView| {
        let traffic = routes.slot(&view.name).map(|slot| &slot.traffic);
        let requests = traffic.map_or(0, |traffic| traffic.requests());
        let errors = traffic.map_or(0, |traffic| traffic.responses(StatusClass::ServerError));
        let uptime = Duration::from_millis(view.uptime_ms);
        Metrics {
            instance: view.name.to_string(),
            uptime_seconds: uptime.as_secs_f64(),
            memory_mb: mebibytes(used.get(&view.name).map_or(0, |used| used.memory_bytes)),
            cpu_percent: percent.get(&view.name).copied().unwrap_or_default(),
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
