//! The thread that moves what instances write from their pipes to their segments.
//!
//! ```text
//!           ┌──────────────── epoll_wait ◄── until the next mark is due, or a chore
//!           ▼
//!  pipe readable ──► Instance::take, at most TURN bytes, then the next pipe's turn
//!       │ no writer: woken only by new data     │ disk full: the oldest go, or left alone, tried again after RETRY
//!       ▼
//!  what is due        ──► Instance::settle: marks, notes, segments closed; who follows hears of it
//!  limit reached      ──► the oldest lines of the largest instances go
//!  once a minute      ──► retention, idle files closed
//! ```
//!
//! Idle pipes cost nothing. A writer that never stops gets the same turn as everybody else.

mod command;
mod full;
mod leftover;
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
    blocks,
    incident::Incident,
    instance::{Instance, Peeker, Taken, Turn},
    retention::Room,
    segment::{BLOCK, Intake},
    store::Shared,
};
use full::Full;
use leftover::Leftover;
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
    /// Instances with bytes that no mark describes, or for which something else is due.
    unsettled: Vec<Arc<Instance>>,
    settle_at: Option<Millis>,
    /// Pipes whose bytes could not be written.
    stalled: Vec<Arc<Pipe>>,
    /// Of runs that are over.
    leftover: Vec<Leftover>,
    retry_at: Option<Millis>,
    chores_at: Millis,
    /// Of the limit over all instances.
    room: Room,
    peeker: Peeker,
    /// While the disk is full.
    full: Option<Full>,
    /// Bytes that may come before it is looked at how much room there is.
    unlooked: u64,
}

impl Ingest {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            unsettled: Vec::new(),
            settle_at: None,
            stalled: Vec::new(),
            leftover: Vec::new(),
            retry_at: None,
            chores_at: clock::now(),
            room: Room::default(),
            peeker: Peeker::default(),
            full: None,
            unlooked: 0,
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
                for instance in &self.unsettled {
                    instance.note();
                }
                return;
            }
        }
    }

    fn timeout(&self) -> Option<Timespec> {
        let due = [
            self.settle_at,
            self.retry_at,
            self.full.as_ref().map(|full| full.look_at),
            Some(self.chores_at),
        ]
        .into_iter()
        .flatten()
        .min()?;
        Timespec::try_from(due.since(clock::now())).ok()
    }

    fn serve(&mut self, token: u64) {
        let Some(pipe) = self.shared.pipes.get(token) else { return };
        match self.take(&pipe) {
            Ok(Taken { intake: Intake::Bytes(_), .. }) => self.shared.pipes.opened(&pipe),
            Ok(Taken { intake: Intake::Closed, .. }) => self.shared.pipes.closed(&pipe),
            Ok(Taken { intake: Intake::Empty, .. }) => {}
            Err(error) => self.stall(pipe, &error),
        }
    }

    fn take(&mut self, pipe: &Pipe) -> io::Result<Taken> {
        loop {
            let mut turn = Turn {
                stream: pipe.stream,
                pipe: pipe.fd.as_fd(),
                max: TURN,
                segment_size: self.room.segment_size,
                peeker: &mut self.peeker,
            };
            match pipe.instance.take(&mut turn) {
                Ok(taken) => {
                    self.took(&pipe.instance, taken);
                    return Ok(taken);
                }
                Err(error) if full::is_full(&error) && self.make_room(&pipe.instance) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn took(&mut self, instance: &Arc<Instance>, taken: Taken) {
        if let Some(limit) = taken.over {
            let instance = instance.name.clone();
            self.shared.tell_of(&Incident::RateLimited { instance, limit });
        }
        let Intake::Bytes(bytes) = taken.intake else { return };
        if instance.remember() {
            self.unsettled.push(Arc::clone(instance));
            self.shared.packer.came(instance);
        }
        let window = self.shared.window(instance);
        // Who asked for it meanwhile has described it: it is still to be told, and what has closed to be packed.
        let due = instance.due(window).unwrap_or_else(|| clock::now().after(window));
        self.settle_at = self.settle_at.into_iter().chain([due]).min();
        if !self.room.take(bytes) {
            self.room = self.shared.bound();
        }
        self.keep_reserve(bytes, instance);
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
            self.take_leftover(now);
        }
        self.end_full(now);
        if self.chores_at <= now {
            self.chores(now);
        }
    }

    fn chores(&mut self, now: Millis) {
        self.shared.expire();
        self.room = self.shared.bound();
        self.shared.close_segments(self.room.segment_size);
        self.shared.pack_all();
        blocks::rest();
        self.shared.rest(Millis(now.0.saturating_sub(CHORES.as_millis() as u64)));
        self.chores_at = now.after(CHORES);
    }

    fn settle(&mut self) {
        let now = clock::now();
        let mut next: Option<Millis> = None;
        self.unsettled.retain(|instance| {
            let due = instance.settle(now, self.room.segment_size, self.shared.window(instance));
            next = next.into_iter().chain(due).min();
            self.shared.tell(instance);
            if due.is_none() {
                instance.unremember();
            }
            self.shared.pack_closed(instance);
            due.is_some()
        });
        self.settle_at = next;
    }

    /// Whether to go on.
    fn obey(&mut self) -> bool {
        for command in self.shared.mailbox.take() {
            match command {
                Command::Stop => return false,
                Command::Chores => self.chores(clock::now()),
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
        let mut pipes = self.shared.pipes.remove(instance, run);
        self.stalled.retain(|stalled| !pipes.iter().any(|pipe| Arc::ptr_eq(stalled, pipe)));
        pipes.retain(|pipe| match self.drain(pipe) {
            Ok(()) => false,
            Err(error) => {
                tracing::warn!(instance = %instance.name, %error, "the end of a log is not written yet; trying again");
                true
            }
        });
        if pipes.is_empty() {
            self.over(instance, run);
        } else {
            self.leave(instance, run, pipes);
        }
    }

    /// Nothing of a run will come any more.
    fn over(&self, instance: &Arc<Instance>, run: RunId) {
        instance.detach(run);
        self.shared.tell(instance);
        self.shared.pack_closed(instance);
    }

    /// Takes in what is in a pipe. What is put there meanwhile, by a process that outlives the run, does not
    /// keep this thread from all others: it is left in the pipe, where the next run finds it.
    fn drain(&mut self, pipe: &Pipe) -> io::Result<()> {
        let full = fcntl_getpipe_size(&pipe.fd)? as u64;
        let mut taken = 0;
        // Twice, for what was read before and not written yet.
        while taken < 2 * full {
            match self.take(pipe)? {
                Taken { intake: Intake::Bytes(bytes), left_out, .. } => taken += bytes + left_out,
                Taken { intake: Intake::Empty | Intake::Closed, .. } => break,
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
