//! The descriptors that are kept for the next daemon.

use std::{
    collections::BTreeMap,
    os::fd::{AsRawFd, OwnedFd},
};

use rustix::process::{Resource, getrlimit};

/// Descriptors that stay free for what the keeper itself has to do, such as starting the next daemon.
const RESERVE: u64 = 16;

/// Whether descriptors that were just received have all come, and leave enough others. The kernel gives the lowest
/// numbers that are free, so high ones say that there are few left.
pub(super) fn fits(received: &[OwnedFd]) -> bool {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let end = limit.saturating_sub(RESERVE);
    !received.is_empty() && received.iter().all(|fd| u64::from(fd.as_raw_fd().cast_unsigned()) < end)
}

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
