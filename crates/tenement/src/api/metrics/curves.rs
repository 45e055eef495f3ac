//! What an instance used and served over the last hour, day or week.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tenement_runtime::clock;
use utoipa::{IntoParams, ToSchema};

use super::hundredths;
use crate::{
    api::{
        Api, ApiError, Caller,
        blocking::blocking,
        query::{Instance, QueryOf},
    },
    samples::{Range, Sample, Series},
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CurvesQuery {
    /// How far back: in steps of 10 s for the last hour, of 5 min for the last day or week. Without it, the last hour.
    #[param(inline, value_type = Option<Back>)]
    range: Option<String>,
}

/// How far back.
#[derive(Deserialize, Serialize, ToSchema)]
#[allow(dead_code)] // What can be said; read by `range`.
enum Back {
    #[serde(rename = "1h")]
    Hour,
    #[serde(rename = "1d")]
    Day,
    #[serde(rename = "7d")]
    Week,
}

fn range(text: Option<&str>) -> Result<Range, ApiError> {
    match text.unwrap_or("1h") {
        "1h" => Ok(Range::Hour),
        "1d" => Ok(Range::Day),
        "7d" => Ok(Range::Week),
        other => Err(ApiError::bad_request(format!("'range' can't be '{other}': it is 1h, 1d or 7d"))),
    }
}

/// Columns of equal length: what was measured in each interval, oldest first. `null` where nothing was, as the instance
/// slept or the daemon was down.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MetricsHistory)]
pub(super) struct Curves {
    /// `service:id`.
    #[schema(example = "api:user123")]
    instance: String,
    /// The length of an interval.
    #[schema(example = 10_000)]
    interval_ms: u64,
    /// When each interval began, in milliseconds since the Unix epoch. The last one goes on.
    times: Vec<u64>,
    /// MiB of its whole process tree; over 5 minutes the average.
    memory_mb: Vec<Option<f64>>,
    /// Of one core.
    cpu_percent: Vec<Option<f64>>,
    /// While it was measured.
    requests_per_second: Vec<Option<f64>>,
    /// Answers with a status of 500 or above.
    errors_per_second: Vec<Option<f64>>,
    /// Half of the answers took no longer; estimated within the buckets of `tenement_request_duration_seconds`, over 5
    /// minutes from its parts.
    latency_p50_ms: Vec<Option<f64>>,
    /// 95 % of the answers took no longer.
    latency_p95_ms: Vec<Option<f64>>,
}

/// Get an instance's metrics over time
///
/// What was measured every 10 s over the last hour, every 5 minutes over the last week.
#[utoipa::path(
    get, path = "/api/metrics/{service}/{id}/history", operation_id = "get_metrics_history", tag = "metrics",
    params(Instance, CurvesQuery),
    responses((status = 200, description = "What it used and served", body = Curves)),
    security(("bearer" = ["read"])),
)]
pub(super) async fn history(
    State(api): State<Api>,
    caller: Caller,
    Instance { service, id }: Instance,
    QueryOf(query): QueryOf<CurvesQuery>,
) -> Result<Json<Curves>, ApiError> {
    let name = caller.named(&service, &id)?;
    api.supervisor.get(&name).await?;
    let range = range(query.range.as_deref())?;
    let now = u32::try_from(clock::wall().0 / 1000).unwrap_or(u32::MAX);
    let (rings, instance) = (Arc::clone(&api.rings), name.to_string());
    let read = move || rings.series(&name, range, now).map_err(|error| ApiError::internal(&error));
    Ok(Json(Curves::of(instance, &blocking(read).await?)))
}

impl Curves {
    fn of(instance: String, series: &Series) -> Self {
        let column = |of: &dyn Fn(&Sample) -> Option<f64>| {
            let all = series.intervals.iter();
            all.map(|(_, sample)| sample.as_ref().and_then(of).map(hundredths)).collect()
        };
        let ms = |us: u64| us as f64 / 1000.0;
        Self {
            instance,
            interval_ms: u64::from(series.step) * 1000,
            times: series.intervals.iter().map(|&(at, _)| u64::from(at) * 1000).collect(),
            memory_mb: column(&|sample| sample.memory_mb()),
            cpu_percent: column(&|sample| sample.cpu_percent()),
            requests_per_second: column(&|sample| Some(sample.requests_per_second())),
            errors_per_second: column(&|sample| Some(sample.errors_per_second())),
            latency_p50_ms: column(&|sample| sample.p50.map(ms)),
            latency_p95_ms: column(&|sample| sample.p95.map(ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_of_equal_length_and_have_nothing_where_nothing_was_measured() {
        let sample = Sample {
            at: 110,
            span: 100,
            requests: 25,
            errors: 1,
            memory: Some(2048),
            p95: Some(1500),
            ..Sample::default()
        };
        let series = Series { step: 10, intervals: vec![(100, None), (110, Some(sample))] };
        let shown = serde_json::to_value(Curves::of("api:a".into(), &series)).unwrap();
        let expected = serde_json::json!({
            "instance": "api:a", "interval_ms": 10_000, "times": [100_000, 110_000],
            "memory_mb": [null, 2.0], "cpu_percent": [null, null], "requests_per_second": [null, 2.5],
            "errors_per_second": [null, 0.1], "latency_p50_ms": [null, null], "latency_p95_ms": [null, 1.5],
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_range_is_one_of_three() {
        let found = [None, Some("1h"), Some("1d"), Some("7d")].map(|text| range(text).unwrap());
        assert_eq!(found, [Range::Hour, Range::Hour, Range::Day, Range::Week]);
        assert!(range(Some("2h")).unwrap_err().to_string().contains("1h, 1d or 7d"));
    }
}
