//! What a run left in its pipes when it could not be written: they stay open until it is.

use std::sync::Arc;

use tenement_core::{slot::RunId, time::Millis};

use super::{Ingest, RETRY, pipes::Pipe};
use crate::instance::Instance;

/// A run that is over, and its pipes that have lines which are in no segment yet. While one of its ends is open a FIFO
/// keeps what is in it.
pub(super) struct Leftover {
    instance: Arc<Instance>,
    run: RunId,
    pipes: Vec<Arc<Pipe>>,
}

impl Ingest {
    /// Tries again later.
    pub(super) fn leave(&mut self, instance: &Arc<Instance>, run: RunId, pipes: Vec<Arc<Pipe>>) {
        self.leftover.push(Leftover { instance: Arc::clone(instance), run, pipes });
        self.retry_at.get_or_insert_with(|| tenement_runtime::clock::now().after(RETRY));
    }

    /// Tries again. A run that has nothing left is over.
    pub(super) fn take_leftover(&mut self, now: Millis) {
        for mut left in std::mem::take(&mut self.leftover) {
            left.pipes.retain(|pipe| self.drain(pipe).is_err());
            if left.pipes.is_empty() {
                self.over(&left.instance, left.run);
            } else {
                self.leftover.push(left);
                self.retry_at.get_or_insert_with(|| now.after(RETRY));
            }
        }
    }
}
