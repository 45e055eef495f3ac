//! `GET /metrics`: Prometheus text format. Without a token, totals per service; with one, series per instance.

mod names;
mod text;

use std::collections::BTreeMap;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use tenement_core::{
    config::MetricsDetail,
    slot::{DURATION_BUCKETS_MS, Slot, StatusClass},
    view::Status,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::text::Text;
use crate::{
    api::{Api, Trust},
    panics,
    store::Scope,
};

/// Requests of one set of labels.
#[derive(Default)]
struct Requests {
    by_class: [u64; 5],
    in_flight: u64,
    durations: [u64; DURATION_BUCKETS_MS.len() + 1],
    duration_us: u64,
    bytes: (u64, u64),
}

impl Requests {
    fn add(&mut self, slot: &Slot) {
        for (sum, class) in self.by_class.iter_mut().zip(StatusClass::ALL) {
            *sum += slot.traffic.responses(class);
        }
        for (sum, count) in self.durations.iter_mut().zip(slot.traffic.duration_counts()) {
            *sum += count;
        }
        self.in_flight += u64::from(slot.in_flight());
        self.duration_us += slot.traffic.duration_sum_us();
        let (bytes_in, bytes_out) = slot.traffic.bytes();
        self.bytes = (self.bytes.0 + bytes_in, self.bytes.1 + bytes_out);
    }
}

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Metrics for Prometheus
///
/// Totals and series per service. With a `read` token, or `metrics_detail = "public"`, a series per instance.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "metrics",
    responses((status = 200, description = "The text format", body = String, content_type = "text/plain")),
)]
async fn metrics(State(api): State<Api>, trust: Option<Extension<Trust>>, headers: HeaderMap) -> Response {
    let trust = trust.map(|Extension(trust)| trust);
    let caller = api.identify(trust.as_ref(), &headers);
    let public = api.about.config.settings.metrics_detail == MetricsDetail::Public;
    let detailed = public || caller.is_some_and(|caller| caller.allows(Scope::Read) && !caller.is_bound());
    let mut text = Text::default();
    instances(&api, &mut text).await;
    requests(&api, detailed, &mut text);
    logs(&api, &mut text);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.finish()).into_response()
}

async fn instances(api: &Api, text: &mut Text) {
    let totals = api.supervisor.totals().await;
    text.family(&names::INSTANCES_TOTAL);
    text.sample(&[], totals.starts.values().sum());
    text.family(&names::SERVICE_STARTS);
    for (service, count) in &totals.starts {
        text.sample(&[("service", service.as_str())], *count);
    }
    text.family(&names::SERVICE_FAILED_STARTS);
    for (service, count) in &totals.failed_starts {
        text.sample(&[("service", service.as_str())], *count);
    }
    text.family(&names::SERVICE_RESTARTS);
    for (service, count) in &totals.restarts {
        text.sample(&[("service", service.as_str())], *count);
    }
    text.family(&names::PANICS);
    text.sample(&[], panics::count());
    let views = api.supervisor.list().await;
    text.family(&names::INSTANCES);
    for &status in Status::ALL {
        let count = views.iter().filter(|view| view.status == status).count();
        text.sample(&[("status", status.as_str())], count as u64);
    }
    text.family(&names::HEALTH_CHECKS);
    for (result, count) in [
        ("passed", views.iter().map(|view| view.checks.passed).sum()),
        ("failed", views.iter().map(|view| view.checks.failed).sum()),
    ] {
        text.sample(&[("result", result)], count);
    }
}

fn requests(api: &Api, detailed: bool, text: &mut Text) {
    let routes = api.supervisor.routes().load();
    let mut series: BTreeMap<(String, Option<String>), Requests> = BTreeMap::new();
    for service in routes.services() {
        for slot in service.slots() {
            let instance = detailed.then(|| slot.name().to_string());
            series.entry((slot.name().service.to_string(), instance)).or_default().add(slot);
        }
    }
    let labels = |(service, instance): &(String, Option<String>)| {
        let mut labels = vec![("service", service.clone())];
        labels.extend(instance.clone().map(|instance| ("instance", instance)));
        labels
    };
    text.family(&names::REQUESTS);
    for (key, requests) in &series {
        for (class, count) in StatusClass::ALL.iter().zip(requests.by_class) {
            let mut labels = labels(key);
            labels.push(("class", class.as_str().to_owned()));
            text.sample(&borrow(&labels), count);
        }
    }
    text.family(&names::REQUEST_DURATION);
    for (key, requests) in &series {
        text.histogram(
            &borrow(&labels(key)),
            &DURATION_BUCKETS_MS,
            &requests.durations,
            requests.duration_us,
        );
    }
    text.family(&names::IN_FLIGHT);
    for (key, requests) in &series {
        text.sample(&borrow(&labels(key)), requests.in_flight);
    }
    text.family(&names::BYTES_IN);
    for (key, requests) in &series {
        text.sample(&borrow(&labels(key)), requests.bytes.0);
    }
    text.family(&names::BYTES_OUT);
    for (key, requests) in &series {
        text.sample(&borrow(&labels(key)), requests.bytes.1);
    }
}

fn borrow<'l>(labels: &'l [(&'l str, String)]) -> Vec<(&'l str, &'l str)> {
    labels.iter().map(|(key, value)| (*key, value.as_str())).collect()
}

fn logs(api: &Api, text: &mut Text) {
    let stats = api.logs.stats();
    text.family(&names::LOG_LINES);
    text.sample(&[], stats.values().map(|stats| stats.lines).sum());
    text.family(&names::LOG_BYTES);
    text.sample(&[], stats.values().map(|stats| stats.bytes).sum());
    text.family(&names::LOG_DROPPED);
    text.sample(&[], stats.values().map(|stats| stats.dropped).sum());
}
