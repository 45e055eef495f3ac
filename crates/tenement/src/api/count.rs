//! How many requests the API answered, by class.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::{
    extract::{Request, State},
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

/// Counts what is answered.
pub(super) async fn count(State(api): State<Api>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_of_api = path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let response = next.run(request).await;
    if is_of_api {
        api.samples.answered.0[StatusClass::of(response.status().as_u16()) as usize].fetch_add(1, Relaxed);
    }
    response
}
