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
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tenement_runtime::clock;

use super::{
    Api, ApiError, Caller, Trust,
    access::{Access, Demand},
    audit, idempotency,
    limit::Window,
    source,
};

/// The token of `Authorization: Bearer …` (RFC 6750 section 2.1). Two headers are none.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
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
        source::of(headers, &self.about.config.settings.trusted_proxies)
    }

    fn let_in(&self, demand: Demand, request: &Request) -> Result<Option<Caller>, ApiError> {
        let headers = request.headers();
        let caller = self.identify(request.extensions().get::<Trust>(), headers);
        let says = headers.contains_key(header::AUTHORIZATION);
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

/// Lets through who may.
pub(super) async fn gate(
    State((api, access)): State<(Api, Arc<Access>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let Some(demand) = access.demand(path, request.method()) else { return next.run(request).await };
    let caller = match api.let_in(demand, &request) {
        Ok(Some(caller)) => caller,
        Ok(None) => return next.run(request).await,
        Err(error) => return error.into_response(),
    };
    let window = match caller.grant().map(|grant| api.limits.count(&grant.id, clock::wall())) {
        Some(Err(window)) => {
            return with_window(ApiError::rate_limited(&window).into_response(), Some(&window));
        }
        Some(Ok(window)) => Some(window),
        None => None,
    };
    if let Err(error) = permit(demand, &caller) {
        return with_window(error.into_response(), window.as_ref());
    }
    let attempt = audit::Attempt::of(&api, &access, path, demand, &caller, &request);
    request.extensions_mut().insert(caller.clone());
    let response = idempotency::answer(&api, &caller, request, next).await;
    if let Some(attempt) = attempt {
        api.history.record(attempt.answered(&response));
    }
    with_window(response, window.as_ref())
}

/// The headers of the page.
fn with_window(mut response: Response, window: Option<&Window>) -> Response {
    for (name, value) in window.into_iter().flat_map(Window::headers) {
        response.headers_mut().insert(name, value.into());
    }
    response
}
