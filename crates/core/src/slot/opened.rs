//! A connection that is open already.

use std::{
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

/// A connection to an instance, for the one who takes it first. An application that has just started pays
/// dearly for every connection; so the one that showed that it accepts carries the request that woke it. It
/// must not stay open unused: an application that serves one connection at a time would wait for it.
#[derive(Clone, Debug, Default)]
pub struct Opened(Arc<Mutex<Option<OwnedFd>>>);

impl Opened {
    /// With a connected stream socket.
    #[must_use]
    pub fn new(connection: OwnedFd) -> Self {
        Self(Arc::new(Mutex::new(Some(connection))))
    }

    /// The connection, unless somebody has it.
    #[must_use]
    pub fn take(&self) -> Option<OwnedFd> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
