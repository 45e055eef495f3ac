//! `GET /metrics`: Prometheus text or OpenMetrics. Without a token, series per service; with one, per instance.
//!
//! A counter per service never goes back: what an instance that is forgotten had counted stays with its service. Series
//! of an instance go with it.

mod families;
mod format;
mod logs;
mod names;
mod text;

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use tenement_core::{config::MetricsDetail, name::InstanceName};
use tenement_runtime::own;
use tokio::sync::Semaphore;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::logs::LogTotals;
use self::{format::Format, text::Text};
use crate::{
    api::{Api, Caller},
    panics,
    store::Scope,
};

/// Whom series are about.
pub(crate) enum Detail {
    /// Services: no tenant is named.
    Services,
    /// All instances.
    Instances,
    /// Those that somebody may know of.
    SeenBy(Caller),
}

impl Detail {
    fn of(api: &Api, caller: Option<Caller>) -> Self {
        match caller {
            _ if api.about.config.load().settings.metrics_detail == MetricsDetail::Public => Self::Instances,
            Some(caller) if caller.allows(Scope::Read) => Self::SeenBy(caller),
            _ => Self::Services,
        }
    }

    fn shows(&self, name: &InstanceName) -> bool {
        match self {
            Self::Services => false,
            Self::Instances => true,
            Self::SeenBy(caller) => caller.sees(name),
        }
    }
}

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Metrics for Prometheus
///
/// Series per service. With a `read` token, or `metrics_detail = "public"`, series per instance; a token that is bound
/// sees those of its own instances. OpenMetrics 1.0.0 for those who accept it, else the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "metrics",
    responses((
        status = 200, description = "All families",
        content((String = "text/plain"), (String = "application/openmetrics-text")),
    )),
    security(("bearer" = ["read"]), ()),
)]
async fn metrics(State(api): State<Api>, caller: Option<Caller>, headers: HeaderMap) -> Response {
    let detail = Detail::of(&api, caller);
    let format = Format::of(&headers);
    // An error means that it was closed, which nobody does.
    let _turn = turns(&detail).acquire().await;
    let body = collect(&api, &detail, format).await;
    ([(header::CONTENT_TYPE, format.content_type()), (header::VARY, VARY)], body).into_response()
}

/// A few at a time, as each takes the whole list of instances; those who show no token keep nobody else waiting.
pub(crate) fn turns(detail: &Detail) -> &'static Semaphore {
    static STRANGERS: Semaphore = Semaphore::const_new(1);
    static KNOWN: Semaphore = Semaphore::const_new(2);
    if matches!(detail, Detail::SeenBy(_)) { &KNOWN } else { &STRANGERS }
}

/// What the answer depends on.
const VARY: axum::http::HeaderValue = axum::http::HeaderValue::from_static("accept, authorization");

async fn collect(api: &Api, detail: &Detail, format: Format) -> String {
    let config = &api.about.config.load_full();
    let totals = api.supervisor.totals().await;
    let views = api.supervisor.list().await;
    let mut text = Text::new(format);
    families::starts(&mut text, config, &totals, &views);
    {
        let routes = api.supervisor.routes().load();
        families::wakes(&mut text, &routes);
        families::checks(&mut text, config, &totals, &views, detail);
        families::requests(&mut text, &routes, detail);
    }
    if !matches!(detail, Detail::Services) {
        let shown = views.iter().map(|view| &view.name).filter(|name| detail.shows(name));
        let used = api.supervisor.usage_of(shown.cloned().collect()).await;
        families::usage(&mut text, &views, &used, detail);
    }
    // Disks are waited for now.
    drop((totals, views));
    let stats = api.logs.stats();
    let (sinks, logs) = (api.sinks.clone(), api.logs.clone());
    let sinks = tokio::task::spawn_blocking(move || sinks.look(&logs)).await.unwrap_or_default();
    families::sinks(&mut text, &sinks);
    families::logs(&mut text, &api.samples.logs.look(&stats), &stats, api.logs.disk());
    let (store, since) = (api.store.clone(), api.about.started_at);
    // What can't be read now is told by whatever else needs it.
    let losses = tokio::task::spawn_blocking(move || store.losses(since).map_or(0, |losses| losses.len()));
    let losses = losses.await.unwrap_or_default();
    let used = tokio::task::spawn_blocking(own::usage).await.unwrap_or_default();
    families::api(&mut text, |class| api.samples.answered.of(class), api.limits.refused());
    families::daemon(&mut text, &used, own::started().0, panics::count(), losses);
    text.finish()
}

#[cfg(test)]
mod tests;
