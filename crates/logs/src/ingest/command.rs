//! What other threads ask of the ingest thread.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::event::{EventfdFlags, eventfd};
use tenement_core::slot::RunId;

use crate::instance::Instance;

pub(crate) enum Command {
    /// Takes in what is left of a run, closes its pipes and calls `done`.
    Detach { instance: Arc<Instance>, run: RunId, done: Box<dyn FnOnce() + Send> },
    /// Takes in what is in the pipes of an instance now, and calls `done`.
    Take { instance: Arc<Instance>, done: Box<dyn FnOnce() + Send> },
    /// The limits are other ones: what is too much goes now.
    Chores,
    /// The store is dropped.
    Stop,
}

/// Commands, and a descriptor that is readable while there are some.
pub(crate) struct Mailbox {
    commands: Mutex<Vec<Command>>,
    bell: OwnedFd,
}

impl Mailbox {
    pub(crate) fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { commands: Mutex::default(), bell })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    pub(crate) fn send(&self, command: Command) {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        // Fails only when the counter is full: then the bell rings already.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    pub(crate) fn reset(&self) {
        let _ = rustix::io::read(&self.bell, &mut [0u8; 8]);
    }

    pub(crate) fn take(&self) -> Vec<Command> {
        std::mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
