//! What the data plane needs from the rest of the program.

use std::{io, os::unix::net::UnixStream, pin::Pin};

use arc_swap::ArcSwap;
use tenement_core::{name::InstanceName, route::RouteTable, slot::RunId, wake::WakeRefusal};

/// A future that owns what it needs.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// Names to instances, and someone who wakes them.
pub trait Backend: Send + Sync + 'static {
    /// The table that is looked up at every request.
    fn routes(&self) -> &ArcSwap<RouteTable>;

    /// Resolves when requests may be let through to an instance. `failed` names a run that was found broken; `by` is
    /// the request, `GET /path`, for people.
    fn wake(
        &self,
        name: InstanceName,
        failed: Option<RunId>,
        by: Option<String>,
    ) -> BoxFuture<Result<(), WakeRefusal>>;

    /// A new connection to the control plane, which speaks HTTP/1.1 on its other end.
    ///
    /// # Errors
    /// There is no control plane any more, or no descriptor left.
    fn control(&self) -> io::Result<UnixStream>;
}
