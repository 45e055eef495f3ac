//! What the proxy needs, given by the supervisor and the API.

use std::{io, os::unix::net::UnixStream, time::Duration};

use arc_swap::ArcSwap;
use axum::Router;
use tenement_core::{name::InstanceName, route::RouteTable, slot::RunId, wake::WakeRefusal};
use tenement_proxy::{Backend, BoxFuture};
use tenement_supervisor::Supervisor;
use tokio::{runtime::Handle, sync::watch};

use crate::api::{self, Trust};

/// When to come back to a daemon that is restarted.
const RESTARTED: Duration = Duration::from_secs(5);

/// Connects the data plane with everything else.
pub(super) struct Daemon {
    supervisor: Supervisor,
    router: Router,
    /// The runtime of the control plane; the proxy's threads have their own.
    control: Handle,
    /// Becomes true when nobody is to wait any more: the daemon ends, or is followed by another.
    ending: watch::Receiver<bool>,
}

impl Daemon {
    /// For the current runtime.
    pub(super) fn new(supervisor: Supervisor, router: Router, ending: watch::Receiver<bool>) -> Self {
        Self { supervisor, router, control: Handle::current(), ending }
    }
}

impl Backend for Daemon {
    fn routes(&self) -> &ArcSwap<RouteTable> {
        self.supervisor.routes()
    }

    fn wake(
        &self,
        name: InstanceName,
        failed: Option<RunId>,
        by: Option<String>,
    ) -> BoxFuture<Result<(), WakeRefusal>> {
        let (supervisor, mut ending) = (self.supervisor.clone(), self.ending.clone());
        Box::pin(async move {
            tokio::select! {
                biased;
                // Who waits for an instance now would only hold up the end, and be cut off then.
                _ = ending.wait_for(|&ending| ending) => Err(WakeRefusal::Unavailable {
                    reason: "tenement is shutting down".into(),
                    retry_after: RESTARTED,
                }),
                woken = supervisor.wake_by(name, failed, by) => woken,
            }
        })
    }

    fn control(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        let _entered = self.control.enter();
        let theirs = tokio::net::UnixStream::from_std(theirs)?;
        self.control.spawn(api::serve(theirs, self.router.clone(), Trust::Nobody));
        Ok(ours)
    }
}
