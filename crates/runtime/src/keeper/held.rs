//! The descriptors that are kept for the next daemon.

use std::{collections::BTreeMap, os::fd::OwnedFd};

/// By name.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeMap<String, Vec<OwnedFd>>);

impl Held {
    /// `more`: beside those of that name, instead of in their place.
    pub(super) fn hold(&mut self, name: String, more: bool, fds: Vec<OwnedFd>) {
        let all = self.0.entry(name).or_default();
        if !more {
            all.clear();
        }
        all.extend(fds);
    }

    pub(super) fn drop(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub(super) fn get(&self, name: &str) -> Option<&[OwnedFd]> {
        self.0.get(name).map(Vec::as_slice)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    pub(super) fn into_inner(self) -> BTreeMap<String, Vec<OwnedFd>> {
        self.0
    }
}
