//! How many instances start at the same time, and who is next: services take turns, so that one with
//! hundreds of instances does not hold up another with one. One permit is kept for services that hold none: so one
//! whose starts hang does not hold up another either.

use std::collections::{BTreeSet, VecDeque};

use tenement_core::name::{InstanceName, ServiceName};

#[derive(Debug)]
pub(super) struct Permits {
    /// Starts at the same time; while there are more because it was lowered, nobody is given one.
    limit: usize,
    /// Permits that only a service without one is given.
    reserve: usize,
    held: BTreeSet<InstanceName>,
    /// Services in the order of their turns, each with those that wait; none is empty.
    queues: VecDeque<(ServiceName, VecDeque<InstanceName>)>,
}

impl Permits {
    /// For starts of that many `services`.
    pub(super) fn new(limit: usize, services: usize) -> Self {
        let (held, queues) = (BTreeSet::new(), VecDeque::new());
        let mut permits = Self { limit, reserve: 0, held, queues };
        permits.resize(limit, services);
        permits
    }

    /// So many from now on, for that many `services`.
    pub(super) fn resize(&mut self, limit: usize, services: usize) {
        self.limit = limit.max(1);
        self.reserve = usize::from(limit > 1 && services > 1);
    }

    fn free(&self) -> usize {
        self.limit.saturating_sub(self.held.len())
    }

    pub(super) fn request(&mut self, name: InstanceName) {
        match self.queues.iter_mut().find(|(service, _)| *service == name.service) {
            Some((_, queue)) => queue.push_back(name),
            None => self.queues.push_back((name.service.clone(), VecDeque::from([name]))),
        }
    }

    /// Notes one that holds a permit already, of an earlier daemon; there may be more of those than permits.
    pub(super) fn hold(&mut self, name: &InstanceName) {
        self.held.insert(name.clone());
    }

    /// Gives back a permit, or withdraws the request for one.
    pub(super) fn release(&mut self, name: &InstanceName) {
        if self.held.remove(name) {
            return;
        }
        if let Some((_, queue)) = self.queues.iter_mut().find(|(service, _)| *service == name.service) {
            queue.retain(|waiting| waiting != name);
        }
        self.queues.retain(|(_, queue)| !queue.is_empty());
    }

    /// The next to start, if a permit is free.
    pub(super) fn grant(&mut self) -> Option<InstanceName> {
        if self.free() == 0 {
            return None;
        }
        let may = |(service, _): &(ServiceName, _)| {
            self.free() > self.reserve || !self.held.iter().any(|name| name.service == *service)
        };
        let turn = self.queues.iter().position(may)?;
        let (service, mut queue) = self.queues.remove(turn)?;
        let name = queue.pop_front()?;
        if !queue.is_empty() {
            self.queues.push_back((service, queue));
        }
        self.held.insert(name.clone());
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> InstanceName {
        text.parse().unwrap()
    }

    #[test]
    fn services_take_turns() {
        let mut permits = Permits::new(1, 2);
        for waiting in ["a:1", "a:2", "a:3", "b:1"] {
            permits.request(name(waiting));
        }
        let mut order = Vec::new();
        while let Some(next) = permits.grant() {
            permits.release(&next);
            order.push(next.to_string());
        }
        assert_eq!(order, ["a:1", "b:1", "a:2", "a:3"]);
    }

    // faults: I1
    #[test]
    fn a_service_whose_starts_hang_does_not_hold_up_another() {
        let mut permits = Permits::new(3, 2);
        for waiting in ["a:1", "a:2", "a:3", "a:4"] {
            permits.request(name(waiting));
        }
        assert_eq!((permits.grant(), permits.grant()), (Some(name("a:1")), Some(name("a:2"))));
        assert_eq!(permits.grant(), None);
        permits.request(name("b:1"));
        assert_eq!(permits.grant(), Some(name("b:1")));
        assert_eq!(permits.grant(), None);
    }

    #[test]
    fn a_lower_limit_holds_once_enough_have_come_back() {
        let mut permits = Permits::new(2, 1);
        for waiting in ["a:1", "a:2", "a:3", "a:4"] {
            permits.request(name(waiting));
        }
        assert_eq!((permits.grant(), permits.grant()), (Some(name("a:1")), Some(name("a:2"))));
        permits.resize(1, 1);
        permits.release(&name("a:1"));
        assert_eq!(permits.grant(), None);
        permits.release(&name("a:2"));
        assert_eq!((permits.grant(), permits.grant()), (Some(name("a:3")), None));
        permits.resize(2, 1);
        assert_eq!(permits.grant(), Some(name("a:4")));
    }

    #[test]
    fn no_more_than_the_limit_and_a_withdrawn_request_is_not_granted() {
        let mut permits = Permits::new(1, 2);
        permits.request(name("a:1"));
        permits.request(name("a:2"));
        assert_eq!(permits.grant(), Some(name("a:1")));
        assert_eq!(permits.grant(), None);
        permits.release(&name("a:2"));
        permits.release(&name("a:1"));
        assert_eq!(permits.grant(), None);
    }
}
