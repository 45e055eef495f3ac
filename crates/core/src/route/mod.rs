//! From a host name to an instance.
//!
//! `{id}.{service}.{domain}` is an instance, `{service}.{domain}` any instance of a service; the domain
//! itself, `localhost` and IP literals are the daemon's own. Everything else is nobody's.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use crate::{
    config::Service,
    name::{Id, InstanceName, ServiceName},
    slot::{Slot, Tally, Wakes},
};

/// Which instance or service a host name means. Immutable; a change publishes a new table.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    domain: String,
    services: HashMap<ServiceName, Arc<ServiceRoutes>>,
}

/// The known instances of one service.
#[derive(Clone, Debug)]
pub struct ServiceRoutes {
    service: Arc<Service>,
    slots: HashMap<Id, Arc<Slot>>,
    counts: ServiceCounts,
}

/// What is counted of a service as a whole. It changes together with the instances that are known, so that whoever adds
/// up both never sees a request twice, nor misses one.
#[derive(Clone, Debug, Default)]
pub struct ServiceCounts {
    /// How long its wakes took.
    pub wakes: Arc<Wakes>,
    /// Requests of instances that are not known any more.
    pub retired: Tally,
}

/// What a host name means.
#[derive(Clone, Debug)]
pub enum Route<'t> {
    /// The daemon's own: API and dashboard.
    Control,
    /// A known instance.
    Instance(&'t Arc<Slot>),
    /// Any instance of a service.
    Service(&'t Arc<ServiceRoutes>),
    /// A well-formed name of an instance that is not known.
    UnknownInstance {
        /// The service it would be of.
        service: &'t Arc<ServiceRoutes>,
        /// The name it would have.
        name: InstanceName,
    },
    /// Below the domain, but no such service.
    UnknownService,
    /// Not below the domain: somebody else's name points here.
    Foreign,
}

impl RouteTable {
    /// An empty table for names below `domain`, which is lower case and has no trailing dot.
    #[must_use]
    pub fn new(domain: &str) -> Self {
        Self { domain: domain.to_owned(), services: HashMap::new() }
    }

    /// Replaces what is known of one service.
    pub fn set_service(&mut self, service: Arc<Service>, slots: impl IntoIterator<Item = Arc<Slot>>) {
        self.set_counted(service, slots, ServiceCounts::default());
    }

    /// The same, with what is counted of the service.
    pub fn set_counted(
        &mut self,
        service: Arc<Service>,
        slots: impl IntoIterator<Item = Arc<Slot>>,
        counts: ServiceCounts,
    ) {
        let slots = slots.into_iter().map(|slot| (slot.name().id.clone(), slot)).collect();
        self.services.insert(service.name.clone(), Arc::new(ServiceRoutes { service, slots, counts }));
    }

    /// The slot of a known instance.
    #[must_use]
    pub fn slot(&self, name: &InstanceName) -> Option<&Arc<Slot>> {
        self.services.get(&name.service)?.slots.get(&name.id)
    }

    /// All services.
    pub fn services(&self) -> impl Iterator<Item = &Arc<ServiceRoutes>> {
        self.services.values()
    }

    /// What `host` means. `host` is lower case, without port and trailing dot.
    #[must_use]
    pub fn resolve(&self, host: &str) -> Route<'_> {
        let Some(labels) = host.strip_suffix(self.domain.as_str()) else {
            return if is_own(host) { Route::Control } else { Route::Foreign };
        };
        if labels.is_empty() {
            return Route::Control;
        }
        let Some(labels) = labels.strip_suffix('.') else {
            return if is_own(host) { Route::Control } else { Route::Foreign };
        };
        let (id, service) = match labels.split_once('.') {
            Some((id, service)) => (Some(id), service),
            None => (None, labels),
        };
        let Some(service) = self.services.get(service) else { return Route::UnknownService };
        let Some(id) = id else { return Route::Service(service) };
        if let Some(slot) = service.slots.get(id) {
            return Route::Instance(slot);
        }
        match id.parse::<Id>() {
            Ok(id) => Route::UnknownInstance {
                name: InstanceName { service: service.service.name.clone(), id },
                service,
            },
            Err(_) => Route::UnknownService,
        }
    }
}

impl ServiceRoutes {
    /// The service's configuration.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// What is counted of it as a whole.
    #[must_use]
    pub fn counts(&self) -> &ServiceCounts {
        &self.counts
    }

    /// Its known instances, in no order.
    pub fn slots(&self) -> impl ExactSizeIterator<Item = &Arc<Slot>> {
        self.slots.values()
    }

    /// Whether an instance lets requests in.
    #[must_use]
    pub fn is_awake(&self) -> bool {
        self.slots.values().any(|slot| slot.is_open())
    }

    /// The instance that lets requests in and has the fewest in flight.
    #[must_use]
    pub fn least_busy(&self) -> Option<&Arc<Slot>> {
        self.slots.values().filter(|slot| slot.is_open()).min_by_key(|slot| slot.in_flight())
    }
}

fn is_own(host: &str) -> bool {
    host == "localhost"
        || host.parse::<IpAddr>().is_ok()
        || host
            .strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .is_some_and(|h| h.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests;
