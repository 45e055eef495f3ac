//! Requests that change something, and the end of them when another daemon takes over: what is answered here must be known
//! there.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::{
    sync::{RwLock, RwLockReadGuard},
    time::timeout,
};

use super::{Api, ApiError, upgrade};

/// How long those under way may take until nobody waits for them any more.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everybody who changes something is inside.
#[derive(Debug, Default)]
pub struct Changes {
    inside: RwLock<()>,
    closed: AtomicBool,
}

impl Changes {
    fn enter(&self) -> Option<RwLockReadGuard<'_, ()>> {
        // In this order: who closes it sets the mark first and then waits for all that are inside.
        let inside = self.inside.try_read().ok()?;
        (!self.closed.load(Ordering::SeqCst)).then_some(inside)
    }

    /// Lets nobody in any more, and returns when all are done that were in, or take too long: those are answered all the same.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if timeout(PATIENCE, self.inside.write()).await.is_err() {
            tracing::warn!("a request is still changing something and is not waited for");
        }
    }
}

/// Refuses what would change something once nothing may change any more.
pub(super) async fn admit(State(api): State<Api>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if reads || request.uri().path() == upgrade::PATH {
        return next.run(request).await;
    }
    match api.changes.enter() {
        Some(_inside) => next.run(request).await,
        None => ApiError::upgrading().into_response(),
    }
}
