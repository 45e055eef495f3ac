//! What supervisor and data plane share of one instance: a handful of atomics.
//!
//! The supervisor is the only one that opens and closes a slot; the data plane takes leases and counts.
//!
//! ```text
//!   supervisor:  open(upstream) ──────────────► close_if_idle() / close()
//!   data plane:              lease() ─► Lease ─► drop
//! ```

mod identity;
mod occupancy;
mod opened;
mod traffic;
mod wakes;

use std::{path::PathBuf, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use serde::{Deserialize, Serialize};

pub use identity::Identity;
pub use occupancy::{Occupancy, Refusal};
pub use opened::Opened;
pub use traffic::{DURATION_BUCKETS_US, StatusClass, Tally, Traffic};
pub use wakes::{WAKE_BUCKETS_US, WakeStage, Wakes};

use crate::{config::Service, name::InstanceName, time::Millis};

/// One start of an instance: grows by one with every process, never repeats as long as the host is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId(pub u64);

/// Where a running instance accepts connections.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The start it belongs to: a pooled connection of another run must not be used.
    pub run: RunId,
    /// Where to connect.
    pub address: Address,
    /// Tells whether a connection to it leads to the instance.
    pub identity: Arc<dyn Identity>,
    /// The connection that showed that it accepts.
    pub opened: Opened,
}

/// An address to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// A Unix stream socket.
    Unix(PathBuf),
    /// A port on 127.0.0.1.
    Tcp(u16),
}

/// The shared part of one instance. It lives as long as the instance is known.
#[derive(Debug)]
pub struct Slot {
    name: InstanceName,
    /// Another one after a change of the configuration; requests in flight go on.
    service: ArcSwap<Service>,
    occupancy: Occupancy,
    upstream: ArcSwapOption<Upstream>,
    /// What was counted on the way of its requests.
    pub traffic: Traffic,
    wakes: Arc<Wakes>,
}

impl Slot {
    /// A closed slot.
    #[must_use]
    pub fn new(name: InstanceName, service: Arc<Service>) -> Self {
        Self {
            name,
            service: ArcSwap::new(service),
            occupancy: Occupancy::new(),
            upstream: ArcSwapOption::empty(),
            traffic: Traffic::default(),
            wakes: Arc::default(),
        }
    }

    /// The same, whose wakes are counted with those of others.
    #[must_use]
    pub fn with_wakes(self, wakes: Arc<Wakes>) -> Self {
        Self { wakes, ..self }
    }

    /// Where its service's wakes are counted.
    #[must_use]
    pub fn wakes(&self) -> &Arc<Wakes> {
        &self.wakes
    }

    /// Whose slot it is.
    #[must_use]
    pub fn name(&self) -> &InstanceName {
        &self.name
    }

    /// Its service's configuration, as it is now.
    #[must_use]
    pub fn service(&self) -> Guard<Arc<Service>> {
        self.service.load()
    }

    /// Changes that. For the supervisor alone.
    pub fn set_service(&self, service: Arc<Service>) {
        self.service.store(service);
    }

    /// Whether requests are let through at this moment.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.occupancy.is_open()
    }

    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.occupancy.leases()
    }

    /// When the last lease ended, on the monotonic clock.
    #[must_use]
    pub fn last_active(&self) -> Millis {
        self.traffic.last_active()
    }

    /// Lets requests through to `upstream`. For the supervisor alone.
    pub fn open(&self, upstream: Upstream) {
        self.upstream.store(Some(Arc::new(upstream)));
        self.occupancy.open();
    }

    /// Stops letting requests through, unless one is in flight. For the supervisor alone.
    /// Returns whether the slot is now closed.
    #[must_use]
    pub fn close_if_idle(&self) -> bool {
        self.occupancy.close_if_idle()
    }

    /// Stops letting requests through, whatever is in flight. For the supervisor alone.
    pub fn close(&self) {
        self.occupancy.close();
    }

    /// Admits one request.
    ///
    /// # Errors
    /// [`Refusal::Closed`]: wake it first. [`Refusal::Full`]: `max_connections` are in flight.
    pub fn lease(self: &Arc<Self>) -> Result<Lease, Refusal> {
        self.occupancy.enter(self.service.load().max_connections.unwrap_or(u32::MAX))?;
        match self.upstream.load_full() {
            Some(upstream) => Ok(Lease { slot: Arc::clone(self), upstream }),
            None => {
                self.occupancy.leave();
                Err(Refusal::Closed)
            }
        }
    }
}

/// One admitted request. While it is held, the instance does not go to sleep.
#[derive(Debug)]
pub struct Lease {
    slot: Arc<Slot>,
    upstream: Arc<Upstream>,
}

impl Lease {
    /// Where to connect.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// The instance's shared part.
    #[must_use]
    pub fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    /// Ends the request and notes when, for the idle timer.
    pub fn end(self, now: Millis) {
        self.slot.traffic.touch(now);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.slot.occupancy.leave();
    }
}
