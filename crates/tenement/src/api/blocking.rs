//! Work that waits for a disk, off the thread that serves everybody.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use axum::{extract::FromRequestParts, http::request::Parts};

use super::ApiError;

/// Somebody who waits for an answer: it is dropped with the connection that it is for, and the work, which goes on, can see
/// that it is for nobody.
#[derive(Debug, Default)]
pub(super) struct Waiting(Arc<AtomicBool>);

/// Set once nobody waits any more. In the extensions of every request that comes over a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Abandoned(Arc<AtomicBool>);

impl Waiting {
    pub(super) fn abandoned(&self) -> Abandoned {
        Abandoned(Arc::clone(&self.0))
    }
}

impl Abandoned {
    /// Of a request.
    pub(super) fn of(parts: &Parts) -> Self {
        parts.extensions.get().cloned().unwrap_or_default()
    }

    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Abandoned {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

/// What `work` returns. Once begun it is carried out to its end, whether or not somebody waits, unless it looks
/// at who does: [`Waiting`].
pub(super) async fn blocking<T, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ApiError>
where
    T: Send + 'static,
    E: Into<ApiError> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ApiError::internal(&error))?.map_err(Into::into)
}
