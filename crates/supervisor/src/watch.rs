//! Following what instances are, without asking for all of them again and again.
//!
//! ```text
//!   the loop: something of an instance changed ─► its name is noted ─► the bell, if it was the first
//!                                                        │
//!   Watch:    changed() ◄── bell           take() ◄──────┘ what they are now; nothing is noted any more
//! ```
//!
//! However late somebody takes, there is never more to take than there are instances.

use std::sync::Arc;

use tenement_core::{name::InstanceName, view::InstanceView};
use tokio::sync::Notify;

use crate::{engine::Message, handle::Supervisor};

/// Names an instance that changed, and what it is now; `None`: it is not known any more.
pub type Changed = (InstanceName, Option<InstanceView>);

/// Somebody who follows. Nothing is noted for them any more once this is dropped.
pub struct Watch {
    supervisor: Supervisor,
    number: u64,
    bell: Arc<Notify>,
}

impl Supervisor {
    /// Every known instance, by service then id, and from there on what changes. `None`: the supervisor has ended.
    pub async fn watch(&self) -> Option<(Vec<InstanceView>, Watch)> {
        let bell = Arc::new(Notify::new());
        let rung = Arc::downgrade(&bell);
        let (number, views) = self.ask(|reply| Message::Watch(rung, reply)).await?;
        Some((views, Watch { supervisor: self.clone(), number, bell }))
    }
}

impl Watch {
    /// Returns when there is something to take. May be given up and begun anew at any time.
    pub async fn changed(&self) {
        self.bell.notified().await;
    }

    /// What changed since the last time; what is returned is not told again, so this must not be given up. `None`: the
    /// supervisor has ended.
    pub async fn take(&self) -> Option<Vec<Changed>> {
        self.supervisor.ask(|reply| Message::Changed(self.number, reply)).await
    }
}
