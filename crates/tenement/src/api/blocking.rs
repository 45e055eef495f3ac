//! Work that waits for a disk, off the thread that serves everybody.

use super::ApiError;

/// What `work` returns. Once begun it is carried out to its end, whether or not somebody waits.
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
