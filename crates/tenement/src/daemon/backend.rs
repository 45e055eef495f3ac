//! What the proxy needs, given by the supervisor and the API.

use std::{io, os::unix::net::UnixStream};

use arc_swap::ArcSwap;
use axum::Router;
use tenement_core::{name::InstanceName, route::RouteTable, slot::RunId, wake::WakeRefusal};
use tenement_proxy::{Backend, BoxFuture};
use tenement_supervisor::Supervisor;
use tokio::runtime::Handle;

use crate::api::{self, Trust};

/// Connects the data plane with everything else.
pub(super) struct Daemon {
    supervisor: Supervisor,
    router: Router,
    /// The runtime of the control plane; the proxy's threads have their own.
    control: Handle,
}

impl Daemon {
    /// For the current runtime.
    pub(super) fn new(supervisor: Supervisor, router: Router) -> Self {
        Self { supervisor, router, control: Handle::current() }
    }
}

impl Backend for Daemon {
    fn routes(&self) -> &ArcSwap<RouteTable> {
        self.supervisor.routes()
    }

    fn wake(&self, name: InstanceName, failed: Option<RunId>) -> BoxFuture<Result<(), WakeRefusal>> {
        let supervisor = self.supervisor.clone();
        Box::pin(async move { supervisor.wake(name, failed).await })
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
