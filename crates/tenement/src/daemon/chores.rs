//! What is done from time to time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tenement_core::{name::InstanceName, route::RouteTable, time::Millis};
use tenement_runtime::own;
use tokio::{
    runtime::Handle,
    task::{AbortHandle, spawn_blocking},
    time::{MissedTickBehavior, interval},
};

use crate::{runs::RunStore, sinks::Sinks, store::Store};

/// When tokens were last used.
const TOKENS: Duration = Duration::from_secs(30);
/// When instances were last used: by so much a daemon that takes over may be wrong about how long one has been idle.
const INSTANCES: Duration = Duration::from_secs(5);

/// How often it is looked whether a disk that was full has room again.
const ROOM: Duration = Duration::from_secs(2);

/// How often it is looked whether memory lies idle, and how many bytes more than the last time are worth the work.
const MEMORY: Duration = Duration::from_secs(30);
const IDLE: u64 = 32 << 20;

/// The chores under way; those of tokens are done once more when this is dropped.
pub(super) struct Chores {
    rounds: [AbortHandle; 4],
    store: Arc<Store>,
}

/// Begins, on the current runtime.
pub(super) fn begin(
    store: Arc<Store>,
    sinks: Arc<Sinks>,
    runs: Arc<RunStore>,
    routes: Arc<ArcSwap<RouteTable>>,
) -> Chores {
    let tokens = Arc::clone(&store);
    let mut used = Used { runs, routes, noted: HashMap::new() };
    let recovering = Arc::clone(&store);
    let mut memory = Memory::default();
    let rounds = [
        every(TOKENS, move || round(&tokens)),
        every(INSTANCES, move || used.note()),
        every(ROOM, move || {
            recovering.recover();
            sinks.recover();
        }),
        every(MEMORY, move || memory.look()),
    ];
    Chores { rounds, store }
}

fn every(period: Duration, mut chore: impl FnMut() + Send + 'static) -> AbortHandle {
    let rounds = Handle::current().spawn(async move {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let done = spawn_blocking(move || {
                chore();
                chore
            });
            let Ok(again) = done.await else { return };
            chore = again;
        }
    });
    rounds.abort_handle()
}

fn round(store: &Store) {
    if let Err(error) = store.save_last_used() {
        tracing::warn!(%error, "when tokens were last used could not be saved");
    }
}

/// When running instances were last used, as it was noted last.
struct Used {
    runs: Arc<RunStore>,
    routes: Arc<ArcSwap<RouteTable>>,
    noted: HashMap<InstanceName, Millis>,
}

impl Used {
    fn note(&mut self) {
        let routes = self.routes.load();
        let running: HashMap<_, _> = routes
            .services()
            .flat_map(|service| service.slots())
            .filter(|slot| slot.is_open() && slot.service().idle_timeout.is_some())
            .map(|slot| (slot.name().clone(), slot.last_active()))
            .collect();
        let changed: Vec<_> = running
            .iter()
            .filter(|(name, at)| self.noted.get(*name) != Some(*at))
            .map(|(name, at)| (name.clone(), *at))
            .collect();
        if changed.is_empty() || self.runs.used(&changed) {
            self.noted = running;
        }
    }
}

/// What a crowd leaves behind: the C library keeps memory that was freed, however much it is.
#[derive(Default)]
struct Memory {
    /// Bytes that lay idle when there were fewest since it was given back, which can't be given back.
    left: u64,
}

impl Memory {
    fn look(&mut self) {
        let idle = own::idle_memory();
        self.left = self.left.min(idle);
        if idle >= self.left + IDLE {
            own::give_back_memory();
            self.left = own::idle_memory();
        }
    }
}

impl Drop for Chores {
    fn drop(&mut self) {
        self.rounds.iter().for_each(AbortHandle::abort);
        round(&self.store);
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_a_crowd_leaves_is_given_back() {
        let mut memory = Memory::default();
        memory.look();
        let mut crowd: Vec<_> = (0..400_000).map(|number: u64| Some(Box::new([number; 32]))).collect();
        // The last ones stay, so that the end of the heap does.
        let kept = crowd.split_off(399_000);
        memory.look();
        let full = own::load().resident_bytes;
        drop(crowd);
        memory.look();
        let after = own::load().resident_bytes;
        assert!(after + (64 << 20) < full, "{full} bytes before, {after} after");
        assert_eq!(kept.iter().flatten().map(|one| one[0]).min(), Some(399_000));
    }
}
