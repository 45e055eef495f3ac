//! Phase "route": whose request it is.

use std::sync::Arc;

use tenement_core::{
    config::OnDemand,
    name::InstanceName,
    route::{Route, RouteTable, ServiceRoutes},
    slot::Slot,
};

use super::answer::Answer;

/// Who is to answer.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// The daemon itself.
    Control,
    /// One instance.
    Instance(Arc<Slot>),
    /// Any instance of a service.
    Service(Arc<ServiceRoutes>),
    /// An instance that nobody knows, and that a request may bring into being.
    New(InstanceName),
}

/// Whether a host name is an instance's or a service's, be it known or not.
pub(super) fn is_tenants(table: &RouteTable, host: &str) -> bool {
    !matches!(table.resolve(host), Route::Control | Route::Foreign)
}

/// Looks `host` up. Unknown names cost nothing but this.
pub(super) fn find(table: &RouteTable, host: &str) -> Result<Target, Answer> {
    match table.resolve(host) {
        Route::Control => Ok(Target::Control),
        Route::Instance(slot) => Ok(Target::Instance(Arc::clone(slot))),
        Route::Service(service) if service.slots().len() == 0 => {
            Err(Answer::new(404, "this service has no instances"))
        }
        Route::Service(service) => Ok(Target::Service(Arc::clone(service))),
        Route::UnknownInstance { service, name } if service.service().on_demand == OnDemand::Any => {
            Ok(Target::New(name))
        }
        Route::UnknownInstance { .. } => Err(Answer::new(404, "there is no such instance")),
        Route::UnknownService => Err(Answer::new(404, "there is no such service")),
        Route::Foreign => Err(Answer::new(421, "this host name is not served here")),
    }
}
