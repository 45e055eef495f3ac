//! Who may: the one choke point. Scopes will be decided here and nowhere else.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::Response,
};
use tenement_runtime::clock;

use super::{Api, ApiError, Trust};

/// The token of `Authorization: Bearer …` (RFC 6750 section 2.1). Two headers are none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Whether a request may see what is not for everybody.
pub(crate) fn is_allowed(api: &Api, trust: Option<&Trust>, headers: &HeaderMap) -> bool {
    trust == Some(&Trust::LocalAdministrator)
        || bearer(headers).is_some_and(|token| api.store.is_token(token, clock::wall()))
}

/// Lets through who may.
pub(super) async fn require(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if is_allowed(&api, request.extensions().get::<Trust>(), request.headers()) {
        Ok(next.run(request).await)
    } else {
        Err(ApiError::unauthorized())
    }
}
