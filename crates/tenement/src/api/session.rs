//! `/api/session`: who somebody is, and how they come in by a link.
//!
//! ```text
//!   POST /api/links ─► code ─► POST /api/session, without a token ─► a token of twelve hours ─► DELETE /api/session
//! ```

mod links;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tenement_core::time::WallMillis;
use tenement_runtime::clock;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::links::Link;
pub use self::links::Links;
use super::{
    Api, ApiError, Caller, Subject, Trust,
    blocking::blocking,
    body::{self, JsonBody},
    error::Envelope,
    instances::timestamp,
    tokens::bound_to,
    words,
};
use crate::{
    history::Change,
    store::{Kind, Scope, Wanted},
};

/// What the token of a session is called.
const NAME: &str = "dashboard";
/// How long one lasts at most.
const LASTS: Duration = Duration::from_secs(12 * 3600);
/// In the audit: the operation's id.
const OPEN: &str = "open_session";
pub(super) const PATH: &str = "/api/session";

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get, open, close)).routes(routes!(links::create))
}

/// Who the caller is.
#[derive(Debug, Serialize, ToSchema)]
struct Session {
    /// The token's id; `local` over the local socket.
    id: String,
    /// What its owner calls it.
    name: String,
    #[schema(value_type = Vec<words::Scope>)]
    scopes: Vec<&'static str>,
    /// The service it is bound to, if it is.
    service: Option<String>,
    /// The instance it is bound to, if it is.
    instance: Option<String>,
    /// Null: never.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    #[schema(value_type = words::SessionKind)]
    kind: &'static str,
    /// The daemon's.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// Below which instances have their host names.
    #[schema(example = "localhost")]
    domain: String,
}

/// A session that was just opened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenedSession)]
struct Opened {
    /// The text of its token, shown this once.
    token: String,
    #[serde(flatten)]
    session: Session,
}

/// What becomes of a session at its end.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ClosedSession)]
struct Closed {
    /// The token is not valid any more. False: it was not made for a link, and stays.
    revoked: bool,
}

/// What opens a session.
#[derive(ToSchema)]
#[allow(dead_code)] // Described by this, read by `open`.
struct SessionRequest {
    /// The code of a link.
    link: String,
}

impl Session {
    fn of(api: &Api, caller: &Caller) -> Self {
        let (service, instance) = bound_to(caller.binding());
        let grant = caller.grant();
        let scopes = grant.map_or_else(|| vec![Scope::Admin], |grant| grant.scopes.clone());
        Self {
            id: caller.actor().0,
            name: grant.map_or_else(|| caller.actor().0, |grant| grant.name.clone()),
            scopes: scopes.into_iter().map(Scope::as_str).collect(),
            service,
            instance,
            expires_at: grant.and_then(|grant| grant.expires_at).map(timestamp),
            kind: grant.map_or("local", |grant| grant.kind.as_str()),
            version: env!("CARGO_PKG_VERSION"),
            domain: api.about.config.load().settings.domain.clone(),
        }
    }
}

/// Who the caller is
///
/// What its token may do, and for how long.
#[utoipa::path(
    get, path = "/api/session", operation_id = "get_session", tag = "tokens",
    responses((status = 200, description = "The caller", body = Session)),
    security(("bearer" = ["read"])),
)]
async fn get(State(api): State<Api>, caller: Caller) -> Json<Session> {
    Json(Session::of(&api, &caller))
}

/// Sign in by a link
///
/// Takes no token, and answers with a new one, of twelve hours at most, with the rights of the link. A link works once.
/// Codes that are not valid are counted for the address they come from, as wrong tokens are.
#[utoipa::path(
    post, path = "/api/session", operation_id = "open_session", tag = "tokens",
    request_body = SessionRequest,
    responses(
        (status = 201, description = "A token, shown this once", body = Opened),
        (status = 400, description = "Something in the request is wrong", body = Envelope),
        (status = 401, description = "The link was used, is too old, or never was", body = Envelope),
        (status = 408, description = "The body did not come in time", body = Envelope),
        (status = 413, description = "The body is larger than 4 KiB", body = Envelope),
        (status = 415, description = "The body is said to be something else than JSON", body = Envelope),
        (status = 429, description = "Too many wrong ones from this address", body = Envelope),
        (status = 500, description = "Something failed that should not", body = Envelope),
        (status = 503, description = "The disk of the daemon's state fails, or it ends", body = Envelope),
        (status = 507, description = "The disk of the daemon's state is full", body = Envelope),
    ),
)]
async fn open(
    State(api): State<Api>,
    trust: Option<Extension<Trust>>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let members = body::object::<String>(&body)?;
    body::only(&["link"], &members)?;
    let code = members.get("link").ok_or_else(|| ApiError::bad_request("'link' is missing"))?;
    let local = trust.is_some_and(|Extension(trust)| trust == Trust::LocalAdministrator);
    let source = (!local).then(|| api.source(&headers));
    let now = clock::wall();
    let refused = || match source.map_or(Ok(()), |source| api.limits.failed(source, now)) {
        Ok(()) => ApiError::no_such_link(),
        Err(window) => ApiError::too_many_failures(&window),
    };
    // Who guesses makes nobody wait for the disk.
    if api.links.find(code, now).is_none() {
        return Err(refused());
    }
    let (store, links, code) = (api.store.clone(), Arc::clone(&api.links), code.clone());
    let letting_in = move || {
        let mut found = None;
        let look = || {
            found = links.find(&code, now);
            found.as_ref().map(|link| wanted(link, now))
        };
        let made = store.let_in(look, || links.remove(&code), now);
        Ok::<_, ApiError>((found, made))
    };
    let (found, made) = blocking(letting_in).await?;
    let Some(link) = found else { return Err(refused()) };
    let made = made.map_err(ApiError::from).and_then(|made| made.ok_or_else(ApiError::no_such_link));
    let status = made.as_ref().map_or_else(ApiError::status, |_| StatusCode::CREATED);
    api.history.record(Change {
        at: now,
        // Whoever made the link has let them in.
        actor: link.maker.actor().0,
        root: None,
        token_name: link.maker.grant().map(|grant| grant.name.clone()),
        source: source.map(|source| source.to_string()),
        action: OPEN.to_owned(),
        method: "POST".to_owned(),
        path: PATH.to_owned(),
        instance: None,
        token: made.as_ref().ok().map(|made| made.grant.id.clone()),
        status: status.as_u16(),
    });
    let made = made?;
    let session = Session::of(&api, &Caller::token(made.grant));
    let answer = Json(Opened { token: made.text, session });
    let private = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, private, answer).into_response())
}

fn wanted(link: &Link, now: WallMillis) -> Wanted {
    Wanted {
        name: NAME.to_owned(),
        kind: Kind::Link,
        maker: link.maker.grant().map(|grant| grant.id.clone()),
        scopes: link.scopes.clone(),
        binding: link.binding.clone(),
        expires_at: Some(end_of(link, now)),
    }
}

/// A session does not outlive the token that let it in.
fn end_of(link: &Link, now: WallMillis) -> WallMillis {
    let latest = WallMillis(now.0 + LASTS.as_millis() as u64);
    let makers = link.maker.grant().and_then(|grant| grant.expires_at);
    makers.map_or(latest, |makers| makers.min(latest))
}

/// Sign out
///
/// A token that was made for a link is revoked; any other one stays.
#[utoipa::path(
    delete, path = "/api/session", operation_id = "close_session", tag = "tokens",
    responses((status = 200, description = "What became of the token", body = Closed)),
    security(("bearer" = ["read"])),
)]
async fn close(State(api): State<Api>, caller: Caller) -> Result<Response, ApiError> {
    let Some(grant) = caller.session() else {
        return Ok(Json(Closed { revoked: false }).into_response());
    };
    let (id, subject) = (grant.id.clone(), Subject::Token(grant.id.clone()));
    let revoked = blocking(move || api.store.revoke_token(&id)).await?;
    Ok((Extension(subject), Json(Closed { revoked })).into_response())
}
