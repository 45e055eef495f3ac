//! The thread that moves what instances write from their pipes to their segments.
//!
//! ```text
//!           ┌──────────────── epoll_wait ◄── until the next mark is due, or a chore
//!           ▼
//!  pipe readable ──► Instance::take, at most TURN bytes, then the next pipe's turn
//!       │ no writer: woken only by new data     │ disk full: left alone, tried again after RETRY
//!       ▼
//!  marks that are due ──► Instance::settle; who follows hears of it
//!  limit reached      ──► the oldest lines of the largest instances go
//!  once a minute      ──► retention, idle files closed
//! ```
//!
//! Idle pipes cost nothing. A writer that never stops gets the same turn as everybody else.

mod command;
mod pipes;

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    pipe::fcntl_getpipe_size,
};
use tenement_core::{slot::RunId, time::Millis};
use tenement_runtime::clock;

pub(crate) use command::{Command, Mailbox};
pub(crate) use pipes::Pipes;

use crate::{
    instance::Instance,
    retention::Room,
    segment::{BLOCK, Intake},
    store::Shared,
};
use pipes::{Pipe, WAKE};

/// Bytes of one pipe before it is the next one's turn.
const TURN: usize = BLOCK as usize;
/// Pipes served between two looks at everything else.
const EVENTS: usize = 256;
/// How long a pipe waits after a failed write.
const RETRY: Duration = Duration::from_secs(1);
/// How often retention is looked at.
const CHORES: Duration = Duration::from_secs(60);

/// The thread's own state.
pub(crate) struct Ingest {
    shared: Arc<Shared>,
    /// Instances with bytes that no mark describes.
    unsettled: Vec<Arc<Instance>>,
    settle_at: Option<Millis>,
    /// Pipes whose bytes could not be written.
    stalled: Vec<Arc<Pipe>>,
    retry_at: Option<Millis>,
    chores_at: Millis,
    /// Of the limit over all instances.
    room: Room,
}

impl Ingest {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            unsettled: Vec::new(),
            settle_at: None,
            stalled: Vec::new(),
            retry_at: None,
            chores_at: clock::now(),
            room: Room::default(),
        }
    }

    /// Serves until told to stop.
    pub(crate) fn run(mut self) {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
        self.chores(clock::now());
        loop {
            events.clear();
            let waited =
                epoll::wait(self.shared.pipes.epoll(), spare_capacity(&mut events), self.timeout().as_ref());
            if let Err(error) = waited
                && error != rustix::io::Errno::INTR
            {
                tracing::error!(%error, "epoll_wait failed; no log is taken in any more");
                return;
            }
            for event in &events {
                match event.data.u64() {
                    WAKE => self.shared.mailbox.reset(),
                    token => self.serve(token),
                }
            }
            self.timers();
            if !self.obey() {
                self.settle();
                return;
            }
        }
    }

    fn timeout(&self) -> Option<Timespec> {
        let due = [self.settle_at, self.retry_at, Some(self.chores_at)].into_iter().flatten().min()?;
        Timespec::try_from(due.since(clock::now())).ok()
    }

    fn serve(&mut self, token: u64) {
        let Some(pipe) = self.shared.pipes.get(token) else { return };
        match self.take(&pipe) {
            Ok(Intake::Bytes(_)) => self.shared.pipes.opened(&pipe),
            Ok(Intake::Closed) => self.shared.pipes.closed(&pipe),
            Ok(Intake::Empty) => {}
            Err(error) => self.stall(pipe, &error),
        }
    }

    fn take(&mut self, pipe: &Pipe) -> io::Result<Intake> {
        let taken = pipe.instance.take(pipe.stream, pipe.fd.as_fd(), TURN, self.room.segment_size);
        if let Ok(Intake::Bytes(bytes)) = taken {
            self.took(&pipe.instance, bytes);
        }
        taken
    }

    fn took(&mut self, instance: &Arc<Instance>, bytes: u64) {
        if !self.unsettled.iter().any(|other| Arc::ptr_eq(other, instance)) {
            self.unsettled.push(Arc::clone(instance));
            let due = instance.due(self.shared.window(instance));
            self.settle_at = self.settle_at.into_iter().chain(due).min();
        }
        if !self.room.take(bytes) {
            self.room = self.shared.bound();
        }
    }

    /// The application blocks once its pipe is full; nothing is lost.
    fn stall(&mut self, pipe: Arc<Pipe>, error: &io::Error) {
        if self.stalled.is_empty() {
            tracing::warn!(instance = %pipe.instance.name, %error, "log not written; trying again every second");
        }
        self.shared.pipes.pause(&pipe);
        self.stalled.push(pipe);
        self.retry_at.get_or_insert_with(|| clock::now().after(RETRY));
    }

    fn timers(&mut self) {
        let now = clock::now();
        if self.settle_at.is_some_and(|at| at <= now) {
            self.settle();
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            for pipe in std::mem::take(&mut self.stalled) {
                self.shared.pipes.resume(&pipe);
            }
        }
        if self.chores_at <= now {
            self.chores(now);
        }
    }

    fn chores(&mut self, now: Millis) {
        self.shared.expire();
        self.room = self.shared.bound();
        self.shared.rest(Millis(now.0.saturating_sub(CHORES.as_millis() as u64)));
        self.chores_at = now.after(CHORES);
    }

    fn settle(&mut self) {
        let now = clock::now();
        let mut next: Option<Millis> = None;
        self.unsettled.retain(|instance| {
            let due = instance.settle(now, self.shared.window(instance));
            next = next.into_iter().chain(due).min();
            self.shared.tell(instance);
            due.is_some()
        });
        self.settle_at = next;
    }

    /// Whether to go on.
    fn obey(&mut self) -> bool {
        for command in self.shared.mailbox.take() {
            match command {
                Command::Stop => return false,
                Command::Detach { instance, run, done } => {
                    self.detach(&instance, run);
                    call(&instance, done);
                }
                Command::Take { instance, done } => {
                    for pipe in self.shared.pipes.of(&instance) {
                        // What can't be written now is tried again; it is in its pipe.
                        let _ = self.drain(&pipe);
                    }
                    call(&instance, done);
                }
            }
        }
        true
    }

    fn detach(&mut self, instance: &Arc<Instance>, run: RunId) {
        for pipe in self.shared.pipes.remove(instance, run) {
            self.stalled.retain(|stalled| !Arc::ptr_eq(stalled, &pipe));
            if let Err(error) = self.drain(&pipe) {
                tracing::error!(instance = %instance.name, %error, "the end of a log could not be written");
            }
        }
        instance.detach(run);
        self.shared.tell(instance);
    }

    /// Takes in what is in a pipe. What is put there meanwhile, by a process that outlives the run, does not
    /// keep this thread from all others: it is left in the pipe, where the next run finds it.
    fn drain(&mut self, pipe: &Pipe) -> io::Result<()> {
        let full = fcntl_getpipe_size(&pipe.fd)? as u64;
        let mut taken = 0;
        // Twice, for what was read before and not written yet.
        while taken < 2 * full {
            match self.take(pipe)? {
                Intake::Bytes(bytes) => taken += bytes,
                Intake::Empty | Intake::Closed => break,
            }
        }
        Ok(())
    }
}

/// A panic of the caller's is no reason to stop taking in everybody's lines.
fn call(instance: &Instance, done: Box<dyn FnOnce() + Send>) {
    if catch_unwind(AssertUnwindSafe(done)).is_err() {
        tracing::error!(instance = %instance.name, "a callback panicked");
    }
}

/// Makes the two descriptors the thread waits on.
pub(crate) fn channel() -> io::Result<(Pipes, Mailbox)> {
    let pipes = Pipes::new()?;
    let mailbox = Mailbox::new()?;
    pipes.watch_mailbox(mailbox.fd())?;
    Ok((pipes, mailbox))
}

/// The read ends of stdout and stderr, in this order.
pub(crate) type Ends = [OwnedFd; 2];
