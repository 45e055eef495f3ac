//! The pipes that are watched.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use tenement_core::slot::RunId;

use super::Ends;
use crate::{instance::Instance, line::Stream};

/// The token of the mailbox.
pub(super) const WAKE: u64 = 0;

/// The read end of one stream of one run.
pub(crate) struct Pipe {
    token: u64,
    pub(super) fd: OwnedFd,
    pub(super) instance: Arc<Instance>,
    run: RunId,
    pub(super) stream: Stream,
    /// Has no writer: a level-triggered watch would report that for ever.
    closed: AtomicBool,
}

/// All watched pipes, and the epoll instance that watches them.
pub(crate) struct Pipes {
    epoll: OwnedFd,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last_token: u64,
    pipes: HashMap<u64, Arc<Pipe>>,
}

impl Pipes {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, table: Mutex::default() })
    }

    pub(super) fn watch_mailbox(&self, bell: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, bell, EventData::new_u64(WAKE), EventFlags::IN)?)
    }

    pub(super) fn epoll(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches both pipes of a run.
    pub(crate) fn add(&self, instance: &Arc<Instance>, run: RunId, ends: Ends) -> io::Result<()> {
        let mut table = self.table();
        for (stream, fd) in Stream::ALL.into_iter().zip(ends) {
            table.last_token += 1;
            let token = table.last_token;
            let pipe = Pipe {
                token,
                fd,
                instance: Arc::clone(instance),
                run,
                stream,
                closed: AtomicBool::new(false),
            };
            epoll::add(&self.epoll, &pipe.fd, EventData::new_u64(token), EventFlags::IN)?;
            table.pipes.insert(token, Arc::new(pipe));
        }
        Ok(())
    }

    pub(super) fn get(&self, token: u64) -> Option<Arc<Pipe>> {
        self.table().pipes.get(&token).cloned()
    }

    /// The pipes of an instance.
    pub(super) fn of(&self, instance: &Arc<Instance>) -> Vec<Arc<Pipe>> {
        let of = |pipe: &&Arc<Pipe>| Arc::ptr_eq(&pipe.instance, instance);
        let mut pipes: Vec<_> = self.table().pipes.values().filter(of).cloned().collect();
        pipes.sort_by_key(|pipe| pipe.token);
        pipes
    }

    /// No longer watches the pipes of a run, and hands them out.
    pub(super) fn remove(&self, instance: &Arc<Instance>, run: RunId) -> Vec<Arc<Pipe>> {
        let of_run = |pipe: &Pipe| pipe.run == run && Arc::ptr_eq(&pipe.instance, instance);
        let mut removed: Vec<_> =
            self.table().pipes.extract_if(|_, pipe| of_run(pipe)).map(|(_, pipe)| pipe).collect();
        removed.sort_by_key(|pipe| pipe.token);
        for pipe in &removed {
            let _ = epoll::delete(&self.epoll, &pipe.fd);
        }
        removed
    }

    /// There is no writer now. That says nothing about the instance; a writer may come back.
    pub(super) fn closed(&self, pipe: &Pipe) {
        if !pipe.closed.swap(true, Ordering::Relaxed) {
            self.watch(pipe, EventFlags::IN | EventFlags::ET);
        }
    }

    /// There is a writer again.
    pub(super) fn opened(&self, pipe: &Pipe) {
        if pipe.closed.swap(false, Ordering::Relaxed) {
            self.watch(pipe, EventFlags::IN);
        }
    }

    /// Reports nothing of the pipe until it is resumed.
    pub(super) fn pause(&self, pipe: &Pipe) {
        let _ = epoll::delete(&self.epoll, &pipe.fd);
    }

    pub(super) fn resume(&self, pipe: &Pipe) {
        // One that nobody serves would be reported for ever.
        if !self.table().pipes.contains_key(&pipe.token) {
            return;
        }
        pipe.closed.store(false, Ordering::Relaxed);
        let _ = epoll::add(&self.epoll, &pipe.fd, EventData::new_u64(pipe.token), EventFlags::IN);
    }

    fn watch(&self, pipe: &Pipe, flags: EventFlags) {
        let _ = epoll::modify(&self.epoll, &pipe.fd, EventData::new_u64(pipe.token), flags);
    }
}
