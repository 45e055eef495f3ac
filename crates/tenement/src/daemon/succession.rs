//! Taking over from a daemon that leaves: its connections, and what it still uses. There may be several: those whose
//! successor was followed itself, or killed.
//!
//! ```text
//!   predecessor ─► this one ─────────────► served here
//!                      └── leaves itself ─► its successor, until the predecessor is gone, or has a way of its own there
//! ```
//!
//! Until each has said what it uses nothing falls asleep here.

use std::{
    collections::HashMap,
    fmt, io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use tenement_core::{name::InstanceName, route::RouteTable, slot::Lease};
use tenement_proxy::{Moved, Successor};
use tenement_runtime::keeper::{Note, Relay, Said};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};

/// A daemon that leaves, to this one.
pub(super) struct Predecessor {
    taker: Arc<Mutex<Arc<dyn Successor>>>,
    gone: oneshot::Receiver<()>,
    told: watch::Receiver<bool>,
}

/// One of an earlier release may say nothing as long as it uses nothing.
const SILENT: Duration = Duration::from_secs(5);

impl Predecessor {
    /// From now on what it gives is somebody else's.
    pub(super) fn pass_on(&self, to: Arc<dyn Successor>) {
        *self.taker.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    /// Returns when it is known which instances it uses.
    pub(super) fn told(&self) -> impl Future<Output = ()> + use<> {
        let mut told = self.told.clone();
        async move {
            // An error: it is gone, and uses nothing.
            let _ = timeout(SILENT, told.wait_for(|&told| told)).await;
        }
    }

    /// Returns when it gives nothing any more.
    pub(super) async fn gone(self) {
        let _ = self.gone.await;
    }
}

impl fmt::Debug for Predecessor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Predecessor")
    }
}

/// Takes what the predecessor gives, on a thread of its own, until that is gone. Lets go of `unsure` once it is known what
/// is in use there.
pub(super) fn begin(
    relay: OwnedFd,
    proxy: Arc<dyn Successor>,
    routes: Arc<ArcSwap<RouteTable>>,
    unsure: Arc<()>,
) -> io::Result<Predecessor> {
    let ((is_gone, gone), (has_told, told)) = (oneshot::channel(), watch::channel(false));
    let taker = Arc::new(Mutex::new(proxy));
    let predecessor = Predecessor { taker: Arc::clone(&taker), gone, told };
    let mut relay = Relay::over(relay);
    let take = move || {
        // As long as the predecessor has requests there, an instance does not fall asleep.
        let mut in_use: HashMap<InstanceName, Lease> = HashMap::new();
        let (_is_gone, mut unsure) = (is_gone, Some(unsure));
        loop {
            match relay.receive() {
                Ok(Some(Said { note: Note::Connection { peer }, data, connection: Some(connection) })) => {
                    let moved = Moved { connection, peer, received: data };
                    taker.lock().unwrap_or_else(PoisonError::into_inner).take(moved);
                }
                Ok(Some(Said { note: Note::InUse { instances }, .. })) => {
                    let routes = routes.load();
                    let lease = |name: InstanceName| {
                        let lease = in_use.remove(&name).or_else(|| routes.slot(&name)?.lease().ok())?;
                        Some((name, lease))
                    };
                    in_use = instances.into_iter().filter_map(lease).collect();
                    has_told.send_replace(true);
                    unsure.take();
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => return tracing::debug!(%error, "the predecessor is gone"),
            }
        }
    };
    std::thread::Builder::new().name("succession".into()).spawn(take)?;
    Ok(predecessor)
}
