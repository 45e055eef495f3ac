//! What is done from time to time.

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    task::{AbortHandle, spawn_blocking},
    time::{MissedTickBehavior, interval},
};

use crate::store::Store;

const EVERY: Duration = Duration::from_secs(30);

/// The chores under way; the last round is done when this is dropped.
pub(super) struct Chores {
    rounds: AbortHandle,
    store: Arc<Store>,
}

/// Begins, on the current runtime.
pub(super) fn begin(store: Arc<Store>) -> Chores {
    let worker = Arc::clone(&store);
    let rounds = Handle::current().spawn(async move {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let store = Arc::clone(&worker);
            let _ = spawn_blocking(move || round(&store)).await;
        }
    });
    Chores { rounds: rounds.abort_handle(), store }
}

fn round(store: &Store) {
    if let Err(error) = store.save_last_used() {
        tracing::warn!(%error, "when tokens were last used could not be saved");
    }
}

impl Drop for Chores {
    fn drop(&mut self) {
        self.rounds.abort();
        round(&self.store);
    }
}
