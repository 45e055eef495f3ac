//! Taking over from a daemon that leaves: its connections, and what it still uses.

use std::{collections::HashMap, io, os::fd::OwnedFd, sync::Arc};

use arc_swap::ArcSwap;
use tenement_core::{name::InstanceName, route::RouteTable, slot::Lease};
use tenement_proxy::{Moved, Successor};
use tenement_runtime::keeper::{Note, Relay, Said};

/// Takes what the predecessor gives, on a thread of its own, until that is gone.
pub(super) fn begin(
    relay: OwnedFd,
    proxy: Arc<dyn Successor>,
    routes: Arc<ArcSwap<RouteTable>>,
) -> io::Result<()> {
    let mut relay = Relay::over(relay);
    let take = move || {
        // As long as the predecessor has requests there, an instance does not fall asleep.
        let mut in_use: HashMap<InstanceName, Lease> = HashMap::new();
        loop {
            match relay.receive() {
                Ok(Some(Said { note: Note::Connection { peer }, data, connection: Some(connection) })) => {
                    proxy.take(Moved { connection, peer, received: data });
                }
                Ok(Some(Said { note: Note::InUse { instances }, .. })) => {
                    let routes = routes.load();
                    let lease = |name: InstanceName| {
                        let lease = in_use.remove(&name).or_else(|| routes.slot(&name)?.lease().ok())?;
                        Some((name, lease))
                    };
                    in_use = instances.into_iter().filter_map(lease).collect();
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => return tracing::debug!(%error, "the predecessor is gone"),
            }
        }
    };
    std::thread::Builder::new().name("succession".into()).spawn(take).map(drop)
}
