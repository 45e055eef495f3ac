//! `/api/logs`.

mod export;
mod feed;
mod fields;
mod histogram;
mod index;
mod line;
mod live;
mod query;
mod retention;
mod search;
mod sinks;
mod words;

use std::{collections::BTreeSet, time::Duration};

use axum::{extract::State, response::Response};
use serde::Serialize;
use tenement_logs::{Begin, Context, LogPage, LogQuery, QueryError, Surrounded};
use tenement_runtime::clock;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::line::Line;
pub(super) use self::query::PAGED;
use self::{feed::LogFeed, fields::Fields, query::LogsQuery};
use super::{
    Api, ApiError, Caller,
    blocking::blocking,
    delivery,
    page::Pagination,
    query::Instance,
    stream::{self, Reader},
};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(all))
        .routes(routes!(of_instance))
        .routes(routes!(live::stream))
        .routes(routes!(retention::get, retention::apply))
        .routes(routes!(index::reindex))
        .routes(routes!(search::search))
        .routes(routes!(histogram::histogram))
        .routes(routes!(export::export))
        .routes(routes!(sinks::sinks))
}

/// What a question may take.
const WITHIN: Duration = Duration::from_secs(10);

#[derive(Serialize, ToSchema)]
#[schema(as = LogList)]
struct Lines {
    logs: Vec<Line>,
    pagination: Pagination,
    /// There was too much around the lines that were found: some have less than was asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    context_cut: bool,
    /// Parts of the log that can't be read because they are damaged: lines are missing.
    #[serde(skip_serializing_if = "is_zero")]
    damaged: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // So serde calls it.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[derive(Serialize, ToSchema)]
#[schema(as = InstanceLogList)]
struct InstanceLines {
    instance: String,
    #[serde(flatten)]
    lines: Lines,
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Grep(_) | QueryError::Buckets(_) => Self::bad_request(error.to_string()),
            QueryError::Late => Self::late(error.to_string()),
            QueryError::Io(_) | QueryError::Damaged(_) => Self::internal(&error),
        }
    }
}

/// A page, oldest first, and what is around its lines where that is asked for.
async fn page(api: &Api, request: &LogsQuery, mut query: LogQuery) -> Result<Lines, ApiError> {
    let (limit, logs) = (query.limit, api.logs.clone());
    let deadline = Some(clock::instant() + WITHIN);
    query.deadline = deadline;
    let around = request.around()?.map(|(before, after)| {
        let max_bytes = query::ANSWER_MAX;
        Context { before, after, max_bytes, deadline }
    });
    let read = move || {
        let LogPage { lines, total, has_more, next, damaged } = logs.query(&query)?;
        let (logs, context_cut, around) = match around {
            Some(around) => {
                let Surrounded { groups, cut, damaged } = logs.around(lines, &around)?;
                (groups.iter().flatten().map(Line::from).collect(), cut, damaged)
            }
            None => (lines.iter().map(Line::from).collect(), false, 0),
        };
        // Mostly the same parts.
        Ok::<_, QueryError>((logs, context_cut, total, has_more, next, damaged.max(around)))
    };
    let (logs, context_cut, total, has_more, next, damaged) = blocking(read).await?;
    let mut pagination = request.page()?.pagination(limit, total, has_more);
    pagination.next_cursor = has_more.then(|| next.to_string());
    Ok(Lines { logs, pagination, context_cut, damaged })
}

/// Lines from before, and then as they come.
async fn follow(
    api: &Api,
    caller: Caller,
    request: &LogsQuery,
    mut query: LogQuery,
    reader: Reader,
) -> Result<Response, ApiError> {
    // An event that was seen is newer than the address that was asked for at first.
    let seen = reader.last_event().and_then(feed::after);
    let begin = match request.begin(query.since)? {
        Some(begin) if seen.is_none() => {
            // What says where it begins is no filter: clocks are set back.
            query.since = None;
            begin
        }
        _ => seen.unwrap_or(Begin::Newest(query.limit)),
    };
    let named = reader.has_events();
    let feed = LogFeed::open(api.logs.clone(), caller.share(), query, begin, named).await?;
    stream::answer(api, caller, feed, reader)
}

/// Logs of all instances
///
/// With `follow=true` they go on as lines come: over a WebSocket to a client that asks for one, as server-sent events
/// to one that accepts those, else as one JSON object on each line.
#[utoipa::path(
    get, path = "/api/logs", operation_id = "list_logs", tag = "logs", params(LogsQuery, Fields),
    responses(
        (status = 101, description = "A WebSocket with a line in each message"),
        (status = 200, description = "The newest lines, in the order of time", content(
            (Lines = "application/json"), (Line = "application/x-ndjson"), (Line = "text/event-stream"),
        )),
        (status = 503, description = "It took too long: the message says what to narrow", body = inline(super::error::Envelope)),
    ),
    security(("bearer" = ["read"])),
)]
async fn all(
    State(api): State<Api>,
    caller: Caller,
    reader: Reader,
    request: LogsQuery,
) -> Result<Response, ApiError> {
    let query = request.query(&caller)?;
    if request.follows()? {
        return follow(&api, caller, &request, query, reader).await;
    }
    let held = caller.share().answer().await;
    delivery::json(&page(&api, &request, query).await?, held)
}

/// Logs of one instance
///
/// Also of one that is gone, until the retention of its logs ends. With `follow=true` as for all instances.
#[utoipa::path(
    get, path = "/api/logs/{service}/{id}", operation_id = "list_instance_logs", tag = "logs",
    params(Instance, LogsQuery, Fields),
    responses(
        (status = 101, description = "A WebSocket with a line in each message"),
        (status = 200, description = "The newest lines, in the order of time", content(
            (InstanceLines = "application/json"), (Line = "application/x-ndjson"), (Line = "text/event-stream"),
        )),
        (status = 503, description = "It took too long: the message says what to narrow", body = inline(super::error::Envelope)),
    ),
    security(("bearer" = ["read"])),
)]
async fn of_instance(
    State(api): State<Api>,
    caller: Caller,
    reader: Reader,
    Instance { service, id }: Instance,
    mut request: LogsQuery,
) -> Result<Response, ApiError> {
    // The path says it.
    request.service = None;
    let name = caller.named(&service, &id)?;
    let query = request.query_of(BTreeSet::from([name.clone()]), &caller)?;
    let follows = request.follows()?;
    // Logs outlive their instance; a name without either never existed.
    let known = async || api.supervisor.get(&name).await.is_ok() || api.logs.known().contains(&name);
    if follows {
        return match known().await {
            true => follow(&api, caller, &request, query, reader).await,
            false => Err(ApiError::instance_not_found(&service, &id)),
        };
    }
    let held = caller.share().answer().await;
    let lines = page(&api, &request, query).await?;
    if lines.pagination.total == 0 && !known().await {
        return Err(ApiError::instance_not_found(&service, &id));
    }
    delivery::json(&InstanceLines { instance: name.to_string(), lines }, held)
}
