//! `/api/logs/stream`: a WebSocket for browsers, which can't send a header with a handshake.
//!
//! ```text
//!   connected ── {"type":"auth","token":…} ──► known ── {"type":"filter",…}, or 200 ms ──► lines
//!       │ 10 s, or a bad token                                                              │  ▲
//!       ▼                                                                                   └──┘ another filter
//!   closed with 4401 ◄── the token is revoked or expires
//! ```

use std::{collections::BTreeMap, net::IpAddr, pin::Pin, time::Duration};

use axum::{
    extract::{State, ws::WebSocket},
    response::Response,
};
use serde_json::Value;
use tenement_logs::Begin;
use tenement_runtime::clock;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Sleep, sleep},
};

use super::{
    super::{
        Api, ApiError, Caller, body,
        stream::{self, Event, Feed, Reader, Socket, code},
    },
    feed::LogFeed,
    query::LogsQuery,
};
use crate::store::{Held, Scope};

/// For the first message.
const AUTH: Duration = Duration::from_secs(10);
/// For the first filter.
const SETTLE: Duration = Duration::from_millis(200);

/// Log lines as they come, for browsers
///
/// A WebSocket. Without a bearer token in the handshake the first message must be `{"type":"auth","token":"…"}`, within
/// 10 seconds; a bad token closes with 4401. `{"type":"filter"}` with `service`, `instance`, `level`, `min_level`, `grep`
/// or `search` says which lines; another one replaces it. Lines come from the first filter on, or 200 ms after the token.
#[utoipa::path(
    get, path = "/api/logs/stream", operation_id = "stream_logs", tag = "logs",
    responses(
        (status = 101, description = "A WebSocket with a line in each message"),
        (status = 400, description = "The handshake is malformed", body = inline(super::super::error::Envelope)),
        (status = 403, description = "The page it comes from may not, or the scope is too small", body = inline(super::super::error::Envelope)),
        (status = 429, description = "Too many streams are open", body = inline(super::super::error::Envelope)),
        (status = 426, description = "This is for WebSockets only", body = inline(super::super::error::Envelope)),
    ),
    security(("bearer" = ["read"]), ()),
)]
pub(super) async fn stream(
    State(api): State<Api>,
    caller: Option<Caller>,
    reader: Reader,
) -> Result<Response, ApiError> {
    let source = api.source(reader.headers());
    let upgrade = reader.socket(&api)?;
    let upgrade = upgrade.ok_or_else(|| ApiError::upgrade_required("This address is for WebSockets only"))?;
    let place = Place::of(caller.as_ref())?;
    Ok(upgrade.on_upgrade(move |socket| Live::new(api, source, caller, place).run(socket)))
}

/// Connections at the same time that have not said who they are.
static STRANGERS: Semaphore = Semaphore::const_new(200);

/// What a connection takes of what there is.
enum Place {
    Stranger { _permit: SemaphorePermit<'static> },
    Known { _held: Held },
}

impl Place {
    fn of(caller: Option<&Caller>) -> Result<Self, ApiError> {
        match caller {
            Some(caller) => {
                let held = caller.share().stream().ok_or_else(ApiError::too_many_streams)?;
                Ok(Self::Known { _held: held })
            }
            None => {
                let permit = STRANGERS.try_acquire().map_err(|_| ApiError::too_many_strangers())?;
                Ok(Self::Stranger { _permit: permit })
            }
        }
    }
}

/// A close code and its reason.
type Close = (u16, String);

/// One connection.
struct Live {
    api: Api,
    source: IpAddr,
    /// `None` until it has said who it is.
    caller: Option<Caller>,
    filter: LogsQuery,
    /// `None` until lines are to come.
    feed: Option<LogFeed>,
    deadline: Pin<Box<Sleep>>,
    place: Place,
}

impl Live {
    fn new(api: Api, source: IpAddr, caller: Option<Caller>, place: Place) -> Self {
        let deadline = Box::pin(sleep(if caller.is_some() { SETTLE } else { AUTH }));
        Self { api, source, caller, filter: LogsQuery::default(), feed: None, deadline, place }
    }

    async fn run(mut self, socket: WebSocket) {
        let mut socket = Socket::new(socket);
        let close = loop {
            let (idle, waits) = (socket.is_idle(), self.feed.is_none());
            let step = tokio::select! {
                biased;
                end = stream::ended(self.caller.as_ref(), &self.api.draining) => Err(stream::farewell(end)),
                event = socket.event() => match event {
                    Event::Said(text) => self.obey(&text).await,
                    Event::Sent => Ok(()),
                    Event::Gone => return,
                    Event::Refused(code, reason) => Err((code, reason.to_owned())),
                },
                () = &mut self.deadline, if waits => self.late().await,
                items = next(&mut self.feed), if idle => {
                    items.map(|items| socket.send(items)).map_err(|error| refused(&error))
                }
            };
            if let Err(close) = step {
                break close;
            }
        };
        socket.close(close.0, &close.1).await;
    }

    /// Nothing came in time.
    async fn late(&mut self) -> Result<(), Close> {
        match self.caller {
            Some(_) => self.ask().await,
            None => Err((code::UNAUTHORIZED, format!("no token came within {} s", AUTH.as_secs()))),
        }
    }

    async fn obey(&mut self, text: &str) -> Result<(), Close> {
        let mut members: BTreeMap<String, Value> =
            body::object(text.as_bytes()).map_err(|error| refused(&error))?;
        match members.remove("type") {
            Some(Value::String(kind)) if kind == "auth" => self.authenticate(&members).await,
            Some(Value::String(kind)) if kind == "filter" => {
                if self.caller.is_none() {
                    return Err((code::UNAUTHORIZED, "the first message must be 'auth'".to_owned()));
                }
                self.filter = LogsQuery::filter(&members).map_err(|error| refused(&error))?;
                self.ask().await
            }
            _ => Err((code::POLICY, "'type' must be 'auth' or 'filter'".to_owned())),
        }
    }

    async fn authenticate(&mut self, members: &BTreeMap<String, Value>) -> Result<(), Close> {
        body::only(&["token"], members).map_err(|error| refused(&error))?;
        let token = members.get("token").and_then(Value::as_str).unwrap_or_default();
        let Some(caller) = self.api.authenticate(token) else {
            return Err((code::UNAUTHORIZED, self.api.refuse(self.source).to_string()));
        };
        if !caller.allows(Scope::Read) {
            return Err((code::POLICY, ApiError::missing_scope(Scope::Read).to_string()));
        }
        if let Some(grant) = caller.grant()
            && let Err(window) = self.api.limits.count(&grant.id, &grant.root, clock::wall())
        {
            return Err((code::RATE_LIMITED, ApiError::rate_limited(&window).to_string()));
        }
        self.place = Place::of(Some(&caller)).map_err(|error| (code::RATE_LIMITED, error.to_string()))?;
        self.caller = Some(caller);
        match self.feed {
            // It sees other lines from now on, perhaps.
            Some(_) => self.ask().await,
            None => {
                self.deadline = Box::pin(sleep(SETTLE));
                Ok(())
            }
        }
    }

    /// Asks for the lines of the filter, from now on.
    async fn ask(&mut self) -> Result<(), Close> {
        let Some(caller) = &self.caller else { return Ok(()) };
        let query = self.filter.query(caller).map_err(|error| refused(&error))?;
        match &mut self.feed {
            Some(feed) => feed.ask(query),
            None => {
                let feed =
                    LogFeed::open(self.api.logs.clone(), caller.share(), query, Begin::Now, false).await;
                self.feed = Some(feed.map_err(|error| refused(&error))?);
            }
        }
        Ok(())
    }
}

async fn next(feed: &mut Option<LogFeed>) -> Result<Vec<stream::Item>, ApiError> {
    match feed {
        Some(feed) => feed.next().await,
        None => std::future::pending().await,
    }
}

fn refused(error: &ApiError) -> Close {
    let code = if error.is_internal() { code::INTERNAL } else { code::POLICY };
    (code, error.to_string())
}
