//! `/api/logs`.

mod feed;
mod index;
mod line;
mod live;
mod query;
mod retention;
mod search;

use axum::{extract::State, response::Response};
use serde::Serialize;
use tenement_logs::{Begin, LogPage, LogQuery, QueryError};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{feed::LogFeed, line::Line, query::LogsQuery};
use super::{
    Api, ApiError, Caller,
    blocking::blocking,
    delivery,
    page::Pagination,
    query::{Instance, QueryOf},
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
}

#[derive(Serialize, ToSchema)]
#[schema(as = LogList)]
struct Lines {
    logs: Vec<Line>,
    pagination: Pagination,
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
            QueryError::Grep(_) => Self::bad_request(error.to_string()),
            QueryError::Io(_) => Self::internal(&error),
        }
    }
}

async fn page(api: &Api, query: LogQuery) -> Result<LogPage, ApiError> {
    let logs = api.logs.clone();
    blocking(move || logs.query(&query)).await
}

fn answer(request: &LogsQuery, limit: usize, page: &LogPage) -> Result<Lines, ApiError> {
    let pagination = request.page()?.pagination(limit, page.total, page.has_more);
    Ok(Lines { logs: page.lines.iter().map(Line::from).collect(), pagination })
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
    get, path = "/api/logs", operation_id = "list_logs", tag = "logs", params(LogsQuery),
    responses(
        (status = 101, description = "A WebSocket with a line in each message"),
        (status = 200, description = "The newest lines, in the order of time", content(
            (Lines = "application/json"), (Line = "application/x-ndjson"), (Line = "text/event-stream"),
        )),
    ),
    security(("bearer" = ["read"])),
)]
async fn all(
    State(api): State<Api>,
    caller: Caller,
    reader: Reader,
    QueryOf(request): QueryOf<LogsQuery>,
) -> Result<Response, ApiError> {
    let query = request.query(&caller)?;
    if request.follows()? {
        return follow(&api, caller, &request, query, reader).await;
    }
    let (limit, held) = (query.limit, caller.share().answer().await);
    delivery::json(&answer(&request, limit, &page(&api, query).await?)?, held)
}

/// Logs of one instance
///
/// Also of one that is gone, until the retention of its logs ends. With `follow=true` as for all instances.
#[utoipa::path(
    get, path = "/api/logs/{service}/{id}", operation_id = "list_instance_logs", tag = "logs",
    params(Instance, LogsQuery),
    responses(
        (status = 101, description = "A WebSocket with a line in each message"),
        (status = 200, description = "The newest lines, in the order of time", content(
            (InstanceLines = "application/json"), (Line = "application/x-ndjson"), (Line = "text/event-stream"),
        )),
    ),
    security(("bearer" = ["read"])),
)]
async fn of_instance(
    State(api): State<Api>,
    caller: Caller,
    reader: Reader,
    Instance { service, id }: Instance,
    QueryOf(mut request): QueryOf<LogsQuery>,
) -> Result<Response, ApiError> {
    // The path says it.
    request.service = None;
    let name = caller.named(&service, &id)?;
    let query = request.query_of(Some(name.clone()), &caller)?;
    let follows = request.follows()?;
    // Logs outlive their instance; a name without either never existed.
    let known = async || api.supervisor.get(&name).await.is_ok() || api.logs.known().contains(&name);
    if follows {
        return match known().await {
            true => follow(&api, caller, &request, query, reader).await,
            false => Err(ApiError::instance_not_found(&service, &id)),
        };
    }
    let (limit, held) = (query.limit, caller.share().answer().await);
    let found = page(&api, query).await?;
    if found.total == 0 && !known().await {
        return Err(ApiError::instance_not_found(&service, &id));
    }
    let lines = answer(&request, limit, &found)?;
    delivery::json(&InstanceLines { instance: name.to_string(), lines }, held)
}
