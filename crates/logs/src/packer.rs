//! The thread that packs what is closed, at low priority: lines are found without it, only slower.
//!
//! ```text
//!  segment closed, index missing ──► offered ──► one segment of the first, then the next one's turn
//!                                                  └ failed: tried again with the next chores
//!  lines came ──► unsynced ── after a while ──► what is not packed is synced, and perhaps looked at again
//! ```

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tenement_core::time::Millis;
use tenement_runtime::clock;

use crate::instance::Instance;

/// How much the thread lets others go first (nice(2)).
const NICE: i32 = 10;
/// How long lines lie in a segment that grows before they are synced: what a power cut may cost, twice that at most
/// on a disk that is fast enough. What is closed before is packed and synced then.
const SYNC: Duration = Duration::from_secs(5);
/// After syncing the thread does so many times as long without, whatever that costs in a power cut.
const REST: u32 = 9;

/// Instances with segments that are to be packed.
#[derive(Default)]
pub(crate) struct Packer {
    queue: Mutex<Queue>,
    bell: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Instance>>,
    /// Those with lines that may be lost in a power cut, and when something is done about it.
    unsynced: Vec<Arc<Instance>>,
    sync_at: Option<Millis>,
    over: bool,
}

enum Task {
    Pack(Arc<Instance>),
    Sync(Vec<Arc<Instance>>),
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

    /// Lines of an instance came.
    pub(crate) fn came(&self, instance: &Arc<Instance>) {
        if instance.is_new_to_sync() {
            self.sync_later(vec![Arc::clone(instance)], SYNC);
        }
    }

    fn sync_later(&self, instances: Vec<Arc<Instance>>, after: Duration) {
        let mut queue = self.queue();
        queue.unsynced.extend(instances);
        if queue.sync_at.is_none() && !queue.unsynced.is_empty() {
            queue.sync_at = Some(clock::now().after(after));
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
        while let Some(task) = self.next() {
            match task {
                Task::Pack(instance) => self.pack(&instance),
                Task::Sync(instances) => self.sync(instances),
            }
        }
    }

    fn pack(&self, instance: &Arc<Instance>) {
        match instance.pack_one() {
            Ok(true) => self.offer(instance),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(instance = %instance.name, %error, "a log could not be packed; it is tried again");
            }
        }
    }

    fn sync(&self, mut instances: Vec<Arc<Instance>>) {
        let begun = clock::now();
        instances.retain(|instance| instance.sync());
        self.sync_later(instances, SYNC.max(clock::now().since(begun) * REST));
    }

    fn next(&self) -> Option<Task> {
        let mut queue = self.queue();
        loop {
            if queue.over {
                return None;
            }
            let now = clock::now();
            if queue.sync_at.is_some_and(|at| at <= now) {
                queue.sync_at = None;
                return Some(Task::Sync(std::mem::take(&mut queue.unsynced)));
            }
            if let Some(instance) = queue.waiting.pop_front() {
                return Some(Task::Pack(instance));
            }
            queue = match queue.sync_at {
                Some(at) => {
                    let waited = self.bell.wait_timeout(queue, at.since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.bell.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}
