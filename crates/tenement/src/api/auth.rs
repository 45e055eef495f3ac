//! Who may: the one choke point.
//!
//! ```text
//!   request ─► who?  ── bad token ─────────────────► 401, or 429 from where too many came
//!                │
//!                ├─ too many requests of this token ► 429
//!                ├─ scope too small, token bound ───► 403
//!                ▼
//!             handler, with the Caller; it shows and changes only what the Caller sees
//! ```
//!
//! What a route demands is read from its description ([`Access`]).

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tenement_runtime::clock;

use super::{
    Api, ApiError, Caller, Trust,
    access::{Access, Demand},
    audit, idempotency,
    limit::Window,
    source, stream,
};
use crate::store::Scope;

/// The token of `Authorization: Bearer …` (RFC 6750 section 2.1), or of a page's handshake. Two headers are none.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    if !headers.contains_key(header::AUTHORIZATION) {
        return stream::token(headers);
    }
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

impl Api {
    /// Who a token stands for.
    pub(crate) fn authenticate(&self, token: &str) -> Option<Caller> {
        self.store.grant(token, clock::wall()).map(Caller::token)
    }

    /// Who sent a request, as far as it says so and is right.
    pub(crate) fn identify(&self, trust: Option<&Trust>, headers: &HeaderMap) -> Option<Caller> {
        match trust {
            Some(Trust::LocalAdministrator) => Some(Caller::local()),
            _ => self.authenticate(bearer(headers)?),
        }
    }

    /// Why somebody at `source` is not known: and from where that was said too often, not even that.
    pub(crate) fn refuse(&self, source: IpAddr) -> ApiError {
        match self.limits.failed(source, clock::wall()) {
            Ok(()) => ApiError::unauthorized(),
            Err(window) => ApiError::too_many_failures(&window),
        }
    }

    /// From where a request came.
    pub(super) fn source(&self, headers: &HeaderMap) -> IpAddr {
        source::of(headers, &self.about.config.load().settings.trusted_proxies)
    }

    fn let_in(&self, demand: Demand, request: &Request) -> Result<Option<Caller>, ApiError> {
        let headers = request.headers();
        let caller = self.identify(request.extensions().get::<Trust>(), headers);
        let says = headers.contains_key(header::AUTHORIZATION) || stream::token(headers).is_some();
        match caller {
            Some(caller) => Ok(Some(caller)),
            None if says => Err(self.refuse(self.source(headers))),
            None if demand.optional => Ok(None),
            // Who says nothing guesses nothing.
            None => Err(ApiError::unauthorized()),
        }
    }
}

fn permit(demand: Demand, caller: &Caller) -> Result<(), ApiError> {
    if !caller.allows(demand.scope) {
        return Err(ApiError::missing_scope(demand.scope));
    }
    if demand.unbound && caller.is_bound() {
        return Err(ApiError::bound());
    }
    Ok(())
}

/// Counts a request; what is answered under `/api` to a token only.
fn count(api: &Api, caller: &Caller, request: &Request) -> Result<Option<Window>, Window> {
    let limited = request.uri().path().starts_with("/api");
    let grant = caller.grant().filter(|_| limited);
    grant.map(|grant| api.limits.count(&grant.id, &grant.root, clock::wall())).transpose()
}

/// Of who asks for what is not there: a token, if there is one, must be right, or this would be a way to try tokens.
const ANYBODY: Demand =
    Demand { scope: Scope::Read, unbound: false, optional: true, changes: false, keyed: false };

/// Lets through who may.
pub(super) async fn gate(
    State((api, access)): State<(Api, Arc<Access>)>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let (caller, route) = match access.route(&path, request.method()) {
        // There is no such address, or it takes other methods: that is the answer, but it counts.
        None => match api.let_in(ANYBODY, &request) {
            Ok(caller) => (caller, None),
            Err(error) => return error.into_response(),
        },
        Some((None, _)) => (None, None),
        Some((Some(demand), name)) => match api.let_in(demand, &request) {
            Ok(caller) => (caller, Some((demand, name))),
            Err(error) => return error.into_response(),
        },
    };
    let Some(caller) = caller else { return next.run(request).await };
    let window = match count(&api, &caller, &request) {
        Err(window) => return ApiError::rate_limited(&window).into_response(),
        Ok(window) => window,
    };
    let response = match route {
        None => next.run(request).await,
        Some((demand, name)) => {
            let attempt = if demand.changes {
                let words = audit::words(request.extensions().clone()).await;
                Some(audit::Attempt::of(&api, name, &caller, &request, &words))
            } else {
                None
            };
            let response = match permit(demand, &caller) {
                Err(error) => error.into_response(),
                Ok(()) => carry_out(&api, demand, caller, request, next).await,
            };
            if let Some(attempt) = attempt {
                attempt.answered(&api, &response);
            }
            response
        }
    };
    with_window(response, window.as_ref())
}

/// What changes something may be asked for twice, but for one thing.
async fn carry_out(api: &Api, demand: Demand, caller: Caller, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(caller.clone());
    if demand.keyed {
        idempotency::answer(api, &caller, request, next).await
    } else {
        next.run(request).await
    }
}

/// The headers of the page; what tokens are answered is for nobody on the way to keep.
fn with_window(mut response: Response, window: Option<&Window>) -> Response {
    let headers = response.headers_mut();
    for (name, value) in window.into_iter().flat_map(Window::headers) {
        headers.insert(name, value.into());
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
