//! `GET /api/overview`: everything there is, as it is now, and how it changes.
//!
//! ```text
//!   supervisor, slots, rings ─► producer: one task for all readers ─► board: rows with versions
//!                                                                       │ what this reader was not told
//!                                                        feed ◄─────────┘
//! ```

mod board;
mod feed;
mod live;
mod machine;
mod measured;
mod pace;
mod part;
mod producer;
mod row;

use axum::{extract::State, response::Response};
use serde::{Deserialize, Serialize};
use tenement_runtime::clock;
use tenement_supervisor::CommandError;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::live::Overview;
use self::{
    feed::{Message, OverviewFeed},
    machine::Machine,
    part::Part,
    row::Row,
};
use super::{
    Api, ApiError, Caller,
    blocking::blocking,
    delivery,
    query::{self, QueryOf},
    stream::{self, Reader},
};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(overview))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OverviewQuery {
    /// Of this service only.
    #[param(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")]
    service: Option<String>,
    /// Of this instance only: `service:id`, or the id next to `service`.
    #[param(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?:[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
    instance: Option<String>,
    /// `true`: goes on with what changes, and never ends.
    follow: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Overview)]
struct Everything {
    /// In milliseconds since 1970.
    at: u64,
    machine: Machine,
    /// By service then id.
    instances: Vec<Row>,
}

/// Everything at a glance, as it is now
///
/// Every instance with its figures, and the machine. With `follow=true` a table that is kept up to date: over a WebSocket
/// to a client that asks for one, as server-sent events to one that accepts those, else as one JSON object on each line. It
/// begins with all rows, in parts of 500 at most; then come rows that changed, within 0.2 s, figures and the machine every
/// 2 s. Who reads slowly has each row as it is when it reads. A token that is bound sees its own instances, and of the
/// machine what concerns those. What `service` and `instance` name may not be there yet.
#[utoipa::path(
    get, path = "/api/overview", operation_id = "overview", tag = "instances", params(OverviewQuery),
    responses(
        (status = 101, description = "A WebSocket with a part of the table, or of its changes, in each message"),
        (status = 200, description = "How everything is", content(
            (Everything = "application/json"), (Message = "application/x-ndjson"), (Message = "text/event-stream"),
        )),
    ),
    security(("bearer" = ["read"])),
)]
async fn overview(
    State(api): State<Api>,
    caller: Caller,
    reader: Reader,
    QueryOf(query): QueryOf<OverviewQuery>,
) -> Result<Response, ApiError> {
    let service = query.service.as_deref().map(str::parse).transpose()?;
    let instance = query::instance(query.service.as_deref(), query.instance.as_deref())?;
    let part = Part::of(&caller, service, instance);
    if stream::follows(query.follow, false)? {
        let feed = OverviewFeed::new(&api, caller.clone(), part);
        return stream::answer(&api, caller, feed, reader);
    }
    let held = caller.share().answer().await;
    let mut seat = api.overview.join(&api);
    seat.filled().await?;
    let everything = blocking(move || {
        // Everybody waits for who looks: no longer than it takes to copy.
        let state = seat.look();
        let seen = state.board.rows(&part);
        let instances =
            seen.map(|(name, line)| line.with_spark(measured::spark(&api, name)).seen_by(&caller)).collect();
        let machine = feed::machine(&state, &caller, &part).ok_or(CommandError::ShuttingDown)?;
        Ok::<_, ApiError>(Everything { at: clock::wall().0, machine, instances })
    });
    delivery::json(&everything.await?, held)
}
