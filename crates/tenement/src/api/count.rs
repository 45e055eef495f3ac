//! What is said of every answer: how many there were, by class, and headers that all have.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use tenement_core::slot::StatusClass;

use super::Api;

/// Answers below `/api`, whoever asked.
#[derive(Debug, Default)]
pub(crate) struct Answered([AtomicU64; StatusClass::ALL.len()]);

impl Answered {
    /// Those of one class.
    pub(crate) fn of(&self, class: StatusClass) -> u64 {
        self.0[class as usize].load(Relaxed)
    }
}

/// With which `ten` sees that it is of another version; `/health` says it to everybody too.
const VERSION: HeaderName = HeaderName::from_static("tenement-version");

/// What holds for every answer, whatever it is: it is what it says it is, and where it leads to does not learn from where.
const GUARDS: [(HeaderName, HeaderValue); 2] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// Counts what is answered, and says by whom.
pub(super) async fn count(State(api): State<Api>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_of_api = path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(VERSION, HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
    for (name, value) in GUARDS {
        headers.insert(name, value);
    }
    if is_of_api {
        api.samples.answered.0[StatusClass::of(response.status().as_u16()) as usize].fetch_add(1, Relaxed);
    }
    response
}
