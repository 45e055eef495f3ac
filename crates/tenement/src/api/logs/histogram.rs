//! `GET /api/logs/histogram`.

use std::time::Duration;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tenement_logs::{Bucket, Grain, Histogram};
use tenement_runtime::clock;
use utoipa::{IntoParams, ToSchema};

use super::{
    super::{
        Api, ApiError, Caller,
        blocking::blocking,
        instances::timestamp,
        moment,
        page::{Whole, whole},
        query::QueryOf,
    },
    WITHIN,
    fields::Fields,
    is_zero,
    query::LogsQuery,
};

/// Buckets of an answer that asks for no other number.
const BUCKETS: usize = 60;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HistogramQuery {
    /// At most so many buckets, of a length people can read; 60 without it. Above 1000 it is 1000.
    #[param(inline, value_type = Option<Whole>)]
    buckets: Option<String>,
    /// Buckets of this length instead: `30s`, `5m`, `1h`, `7d`.
    #[param(pattern = "^[1-9][0-9]{0,3}d$")]
    interval: Option<String>,
}

impl HistogramQuery {
    fn grain(&self) -> Result<Grain, ApiError> {
        let buckets = self.buckets.as_deref().map(|text| whole("buckets", text)).transpose()?;
        match &self.interval {
            Some(text) => Ok(Grain::Interval(Duration::from_millis(moment::length("interval", text)?))),
            None => Ok(Grain::Buckets(buckets.unwrap_or(BUCKETS))),
        }
    }
}

/// Lines over time.
#[derive(Serialize, ToSchema)]
#[schema(as = LogHistogram)]
pub(super) struct Counted {
    /// The oldest first, without a gap.
    #[schema(inline)]
    buckets: Vec<Counts>,
    /// How long each is.
    interval_ms: u64,
    /// All lines.
    total: u64,
    /// Parts of the log that can't be read because they are damaged: lines are missing.
    #[serde(skip_serializing_if = "is_zero")]
    damaged: u64,
}

#[derive(Serialize, ToSchema)]
struct Counts {
    /// When it begins.
    #[schema(format = DateTime)]
    start: String,
    total: u64,
    #[schema(inline)]
    levels: Levels,
}

#[derive(Serialize, ToSchema)]
struct Levels {
    debug: u64,
    info: u64,
    warn: u64,
    error: u64,
}

impl From<&Bucket> for Counts {
    fn from(bucket: &Bucket) -> Self {
        let [debug, info, warn, error] = bucket.levels;
        let levels = Levels { debug, info, warn, error };
        Self { start: timestamp(bucket.start), total: bucket.total(), levels }
    }
}

/// Lines over time
///
/// How many lines of which level there were, in all the filters of `/api/logs`: from `since`, or from the oldest one
/// where there is none, until `until`, or now.
#[utoipa::path(
    get, path = "/api/logs/histogram", operation_id = "count_logs", tag = "logs",
    params(LogsQuery, Fields, HistogramQuery),
    responses(
        (status = 200, description = "Counts by time and level", body = Counted),
        (status = 503, description = "It took too long: the message says what to narrow", body = inline(super::super::error::Envelope)),
    ),
    security(("bearer" = ["read"])),
)]
pub(super) async fn histogram(
    State(api): State<Api>,
    caller: Caller,
    request: LogsQuery,
    QueryOf(shape): QueryOf<HistogramQuery>,
) -> Result<Json<Counted>, ApiError> {
    request.unpaged()?;
    let (mut query, grain) = (request.query(&caller)?, shape.grain()?);
    // Before the time for it begins: others of this caller may take theirs first.
    let (logs, _held) = (api.logs.clone(), caller.share().answer().await);
    query.deadline = Some(clock::instant() + WITHIN);
    let counted = blocking(move || logs.histogram(&query, grain)).await?;
    let buckets = counted.buckets.iter().map(Counts::from).collect();
    let Histogram { interval: interval_ms, total, damaged, .. } = counted;
    Ok(Json(Counted { buckets, interval_ms, total, damaged }))
}
