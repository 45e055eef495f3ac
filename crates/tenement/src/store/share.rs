//! What one token may have of the daemon at the same time, so that others get theirs.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Streams that are open.
const STREAMS: usize = 500;
/// Large answers that are being made or read.
const ANSWERS: usize = 4;
/// Reads of the log for streams: one after another.
const READS: usize = 1;

/// A token's share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Share {
    streams: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

impl Default for Share {
    fn default() -> Self {
        let [streams, answers, reads] =
            [STREAMS, ANSWERS, READS].map(|count| Arc::new(Semaphore::new(count)));
        Self { streams, answers, reads }
    }
}

/// A part of a share, as long as it is held.
#[derive(Debug)]
pub struct Held(#[allow(dead_code)] Option<OwnedSemaphorePermit>);

impl Share {
    /// A stream, if there is one left.
    #[must_use]
    pub fn stream(&self) -> Option<Held> {
        Arc::clone(&self.streams).try_acquire_owned().ok().map(|permit| Held(Some(permit)))
    }

    /// Waits for a large answer's turn.
    pub async fn answer(&self) -> Held {
        // An error means that it was closed, which nobody does.
        Held(Arc::clone(&self.answers).acquire_owned().await.ok())
    }

    /// Waits for a read's turn.
    pub async fn read(&self) -> Held {
        Held(Arc::clone(&self.reads).acquire_owned().await.ok())
    }
}
