//! How many instances start at the same time, and who is next: services take turns, so that one with
//! hundreds of instances does not hold up another with one.

use std::collections::{BTreeSet, VecDeque};

use tenement_core::name::{InstanceName, ServiceName};

#[derive(Debug)]
pub(super) struct Permits {
    free: usize,
    held: BTreeSet<InstanceName>,
    /// Services in the order of their turns, each with those that wait; none is empty.
    queues: VecDeque<(ServiceName, VecDeque<InstanceName>)>,
}

impl Permits {
    pub(super) fn new(limit: usize) -> Self {
        Self { free: limit.max(1), held: BTreeSet::new(), queues: VecDeque::new() }
    }

    pub(super) fn request(&mut self, name: InstanceName) {
        match self.queues.iter_mut().find(|(service, _)| *service == name.service) {
            Some((_, queue)) => queue.push_back(name),
            None => self.queues.push_back((name.service.clone(), VecDeque::from([name]))),
        }
    }

    /// Gives back a permit, or withdraws the request for one.
    pub(super) fn release(&mut self, name: &InstanceName) {
        if self.held.remove(name) {
            self.free += 1;
            return;
        }
        if let Some((_, queue)) = self.queues.iter_mut().find(|(service, _)| *service == name.service) {
            queue.retain(|waiting| waiting != name);
        }
        self.queues.retain(|(_, queue)| !queue.is_empty());
    }

    /// The next to start, if a permit is free.
    pub(super) fn grant(&mut self) -> Option<InstanceName> {
        if self.free == 0 {
            return None;
        }
        let (service, mut queue) = self.queues.pop_front()?;
        let name = queue.pop_front()?;
        if !queue.is_empty() {
            self.queues.push_back((service, queue));
        }
        self.free -= 1;
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
        let mut permits = Permits::new(1);
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

    #[test]
    fn no_more_than_the_limit_and_a_withdrawn_request_is_not_granted() {
        let mut permits = Permits::new(1);
        permits.request(name("a:1"));
        permits.request(name("a:2"));
        assert_eq!(permits.grant(), Some(name("a:1")));
        assert_eq!(permits.grant(), None);
        permits.release(&name("a:2"));
        permits.release(&name("a:1"));
        assert_eq!(permits.grant(), None);
    }
}
