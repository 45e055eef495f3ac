//! The thread that packs what is closed, at low priority: lines are found without it, only slower.
//!
//! ```text
//!  segment closed, index missing ──► offered ──► one segment of the first, then the next one's turn
//!                                                  └ failed: tried again with the next chores
//! ```

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::instance::Instance;

/// How much the thread lets others go first (nice(2)).
const NICE: i32 = 10;

/// Instances with segments that are to be packed.
#[derive(Default)]
pub(crate) struct Packer {
    queue: Mutex<Queue>,
    bell: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Instance>>,
    over: bool,
}

impl Packer {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An instance may have something to pack.
    pub(crate) fn offer(&self, instance: &Arc<Instance>) {
        let mut queue = self.queue();
        if !queue.waiting.iter().any(|waiting| Arc::ptr_eq(waiting, instance)) {
            queue.waiting.push_back(Arc::clone(instance));
            self.bell.notify_one();
        }
    }

    /// Ends the thread once it is done with a segment.
    pub(crate) fn stop(&self) {
        self.queue().over = true;
        self.bell.notify_one();
    }

    /// Packs until told to stop.
    pub(crate) fn run(&self) {
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "logs are packed at normal priority");
        }
        while let Some(instance) = self.next() {
            match instance.pack_one() {
                Ok(true) => self.offer(&instance),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(instance = %instance.name, %error, "a log could not be packed; it is tried again");
                }
            }
        }
    }

    fn next(&self) -> Option<Arc<Instance>> {
        let mut queue = self.queue();
        loop {
            if queue.over {
                return None;
            }
            if let Some(instance) = queue.waiting.pop_front() {
                return Some(instance);
            }
            queue = self.bell.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
