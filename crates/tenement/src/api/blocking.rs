//! Work that waits for a disk, off the thread that serves everybody.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::ApiError;

/// Somebody who waits for such work: when the connection ends, what is asked for on it is dropped, and the work can see
/// that it is for nobody.
#[derive(Debug, Default)]
pub(super) struct Waiting(Arc<AtomicBool>);

impl Waiting {
    /// Set once nobody waits any more.
    pub(super) fn abandoned(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
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
