//! `GET /api/events`: what happened to instances.

mod feed;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tenement_core::{history::Cause, name::InstanceName};
use tenement_runtime::clock;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::feed::EventFeed;
use super::{
    Api, ApiError, Caller,
    blocking::blocking,
    instances::timestamp,
    moment,
    page::{Page, Pagination, Whole},
    query::{self, QueryOf},
    reason,
    stream::{self, Reader},
    words,
};
use crate::history::{Event, EventQuery, Found};

const EVENTS: usize = 50;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// Of this service only.
    #[param(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")]
    service: Option<String>,
    /// Of this instance only: `service:id`, or the id next to `service`.
    #[param(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?:[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
    instance: Option<String>,
    /// Of this cause only.
    #[param(inline, value_type = Option<words::Cause>)]
    cause: Option<String>,
    /// Not before: `30s`, `5m`, `1h`, `7d` ago, or RFC 3339.
    #[param(pattern = "^[0-9]{1,9}[smhd]$")]
    since: Option<String>,
    /// Not after.
    #[param(pattern = "^[0-9]{1,9}[smhd]$")]
    until: Option<String>,
    /// After the event with this id only: the next ones, instead of the newest.
    #[param(inline, value_type = Option<Whole>)]
    after: Option<String>,
    /// The newest so many; 50 without it. Above 1000 it is 1000.
    #[param(inline, value_type = Option<Whole>)]
    limit: Option<String>,
    /// Skips so many of the newest.
    #[param(inline, value_type = Option<Whole>)]
    offset: Option<String>,
    /// `true`: goes on with events as they happen, and never ends. Not together with `offset` or `until`.
    follow: Option<bool>,
}

/// A change of an instance's status.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct Happened {
    /// Grows with every event.
    id: u64,
    #[schema(format = DateTime)]
    timestamp: String,
    #[schema(example = "api:user123")]
    instance: String,
    service: String,
    #[schema(value_type = words::Status)]
    from: String,
    /// Null: it was forgotten.
    #[schema(value_type = Option<words::Status>)]
    to: Option<String>,
    #[schema(value_type = words::Health)]
    health: String,
    /// What brought it about.
    #[schema(value_type = words::Cause)]
    cause: String,
    /// Who asked for it: `local` or a token's id.
    actor: Option<String>,
    /// Why, where there is something to explain.
    reason: Option<String>,
    /// How its process ended, if it did.
    exit_code: Option<i32>,
    /// The signal that ended its process.
    signal: Option<i32>,
    /// The kernel ended its process for want of memory.
    oom: bool,
    /// For how long it had been what it was.
    duration_ms: u64,
    /// Of an end that nobody asked for: the last lines of its log, 50 and 16 KiB at most. Null when they are not kept any
    /// more, or when newer events have taken the room for them in this answer.
    last_lines: Option<Vec<String>>,
    /// Where those lines are, and the ones before.
    #[schema(example = "/api/logs/api/user123?before=api:user123:4711&limit=50")]
    log: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = EventList)]
struct Events {
    events: Vec<Happened>,
    pagination: Pagination,
}

impl Happened {
    /// Who acted is told to those who are bound only if it was themselves, and where its command is not at all.
    pub(super) fn seen_by(event: Event, caller: &Caller) -> Self {
        let own = caller.actor().0;
        let InstanceName { service, id } = &event.instance;
        let log =
            event.log_end.map(|end| format!("/api/logs/{service}/{id}?before={service}:{id}:{end}&limit=50"));
        let actor = event.actor.filter(|actor| !caller.is_bound() || *actor == own);
        Self {
            id: event.seq,
            timestamp: timestamp(event.at),
            instance: event.instance.to_string(),
            service: event.instance.service.to_string(),
            from: event.from,
            to: event.to,
            health: event.health,
            cause: event.cause,
            actor,
            reason: event.reason.map(|reason| reason::seen_by(caller, reason)),
            exit_code: event.exit_code,
            signal: event.signal,
            oom: event.oom,
            duration_ms: event.lasted_ms,
            last_lines: event.last_lines,
            log,
        }
    }
}

impl EventsQuery {
    fn cause(&self) -> Result<Option<String>, ApiError> {
        let known = |word: &String| Cause::ALL.iter().any(|cause| cause.as_str() == word);
        match &self.cause {
            Some(word) if !known(word) => {
                let all = Cause::ALL.map(Cause::as_str).join(", ");
                Err(ApiError::bad_request(format!("'cause' must be one of {all}")))
            }
            cause => Ok(cause.clone()),
        }
    }

    /// What is asked for, narrowed to what the caller sees; `None` when nothing is left of it.
    pub(super) fn query(&self, caller: &Caller) -> Result<(Page, Option<EventQuery>), ApiError> {
        let page = Page::parse(self.limit.as_deref(), self.offset.as_deref())?;
        let after = match self.after.as_deref() {
            None => None,
            Some(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(text.parse().unwrap_or(u64::MAX))
            }
            Some(_) => return Err(ApiError::bad_request("'after' must be the id of an event")),
        };
        let (since, until) = moment::span(self.since.as_deref(), self.until.as_deref(), clock::wall())?;
        let mut query = EventQuery {
            service: self.service.as_deref().map(str::parse).transpose()?,
            instance: query::instance(self.service.as_deref(), self.instance.as_deref())?,
            cause: self.cause()?,
            since,
            until,
            after,
            limit: page.limit.unwrap_or(EVENTS),
            offset: page.offset,
        };
        let seen = caller.narrow(&mut query.service, &mut query.instance);
        Ok((page, seen.then_some(query)))
    }
}

/// What happened to instances
///
/// The newest changes of any instance's status, in the order they happened. With `follow=true` they go on as they
/// happen: over a WebSocket to a client that asks for one, as server-sent events to one that accepts those, else as one
/// JSON object on each line.
#[utoipa::path(
    get, path = "/api/events", operation_id = "list_events", tag = "history", params(EventsQuery),
    responses(
        (status = 101, description = "A WebSocket with an event in each message"),
        (status = 200, description = "A page of events", content(
            (Events = "application/json"), (Happened = "application/x-ndjson"), (Happened = "text/event-stream"),
        )),
    ),
    security(("bearer" = ["read"])),
)]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    reader: Reader,
    QueryOf(request): QueryOf<EventsQuery>,
) -> Result<Response, ApiError> {
    let (page, query) = request.query(&caller)?;
    if stream::follows(request.follow, request.offset.is_some() || request.until.is_some())? {
        let feed = EventFeed::new(&api, caller.clone(), query, reader.last_event());
        return stream::answer(&api, caller, feed, reader);
    }
    let found = match query {
        Some(query) => {
            api.history.caught_up().await;
            let history = api.history.clone();
            blocking(move || history.events(&query)).await?
        }
        None => Found { entries: Vec::new(), total: 0 },
    };
    let pagination = page.of(found.entries.len(), page.limit.unwrap_or(EVENTS), found.total);
    let events = found.entries.into_iter().map(|event| Happened::seen_by(event, &caller)).collect();
    Ok(Json(Events { events, pagination }).into_response())
}
