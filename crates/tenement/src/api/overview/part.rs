//! What of the table somebody is told: what the caller may know of, and of that what was asked for.

use std::{collections::BTreeMap, ops::Bound};

use tenement_core::name::{InstanceName, ServiceName};

use crate::{api::Caller, store::Binding};

/// Names that stand next to one another; `None`: no name at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part(Option<Binding>);

impl Part {
    /// Every name.
    pub(super) const ALL: Self = Self(Some(Binding::Nothing));

    /// What both leave of what `caller` may know of.
    pub(super) fn of(caller: &Caller, service: Option<ServiceName>, instance: Option<InstanceName>) -> Self {
        let asked = [service.map(Binding::Service), instance.map(Binding::Instance)];
        let narrow = |part: Option<Binding>, asked: Binding| part.and_then(|part| part.and(&asked));
        Self(asked.into_iter().flatten().fold(Some(caller.binding().clone()), narrow))
    }

    /// Whether every name is in it.
    pub(super) fn is_all(&self) -> bool {
        *self == Self::ALL
    }

    /// Of a map by name what is in it, from after a name that is in it. The others are not looked at.
    pub(super) fn range<'m, V>(
        &self,
        map: &'m BTreeMap<InstanceName, V>,
        after: Option<&InstanceName>,
    ) -> impl Iterator<Item = (&'m InstanceName, &'m V)> {
        let from = match (after, &self.0) {
            (Some(after), _) => Bound::Excluded(after.clone()),
            (None, Some(Binding::Service(service))) => Bound::Included(InstanceName::first_of(service)),
            (None, Some(Binding::Instance(name))) => Bound::Included(name.clone()),
            (None, Some(Binding::Nothing) | None) => Bound::Unbounded,
        };
        let part = self.0.as_ref();
        let found = map.range((from, Bound::Unbounded));
        found.take_while(move |(name, _)| part.is_some_and(|part| part.covers(name)))
    }
}

#[cfg(test)]
impl Part {
    pub(super) fn new(part: Option<Binding>) -> Self {
        Self(part)
    }

    pub(super) fn has(&self, name: &InstanceName) -> bool {
        self.0.as_ref().is_some_and(|part| part.covers(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> InstanceName {
        text.parse().unwrap()
    }

    #[test]
    fn a_part_is_found_in_its_place_and_nothing_else_with_it() {
        let names = ["ap:z", "api:0", "api:0-0", "api:b", "api-2:0", "web:b"].map(name);
        let map: BTreeMap<_, _> = names.into_iter().map(|name| (name, ())).collect();
        let found = |part: Option<Binding>, after: Option<&str>| {
            let after = after.map(name);
            Part(part).range(&map, after.as_ref()).map(|(name, ())| name.to_string()).collect::<Vec<_>>()
        };
        let api = || Some(Binding::Service("api".parse().unwrap()));
        assert_eq!(found(api(), None), ["api:0", "api:0-0", "api:b"]);
        assert_eq!(found(api(), Some("api:0")), ["api:0-0", "api:b"]);
        assert_eq!(found(Some(Binding::Instance(name("api:b"))), None), ["api:b"]);
        assert!(found(Some(Binding::Instance(name("api:a"))), None).is_empty());
        assert!(found(None, None).is_empty());
        assert_eq!(found(Some(Binding::Nothing), Some("api:b")), ["api-2:0", "web:b"]);
        assert_eq!(found(Some(Binding::Nothing), None).len(), 6);
    }
}
