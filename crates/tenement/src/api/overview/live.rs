//! The table that is kept up to date while somebody reads it.
//!
//! ```text
//!   the first reader ─► Live: Table ◄── one task, that writes and rings
//!   further readers ──►  │      │
//!                        │      └─► each Seat reads for itself, when it is rung
//!   the last one gone ─► the task ends, and the table goes
//! ```

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tenement_core::{name::InstanceName, view::Woken};
use tenement_supervisor::CommandError;
use tokio::{
    runtime::Handle,
    sync::{Mutex as AsyncMutex, OnceCell, watch},
    task::AbortHandle,
};

use super::{
    board::{Board, ReaderId},
    machine::{Looks, Machine},
    producer,
    row::Line,
};
use crate::api::{Api, ApiError};

/// The live table, where there is one.
#[derive(Debug, Default)]
pub struct Overview {
    current: Mutex<Weak<Live>>,
    /// The last look at the machine, the first one at the start of the daemon; it outlives who asked for it, so that the next
    /// one knows what went on since.
    pub(super) looks: Mutex<Looks>,
    /// Held by who looks at the disk. One that hangs takes one thread then, however often somebody would like to know.
    pub(in crate::api) disk: Arc<AsyncMutex<()>>,
    /// When instances were woken before the daemon started.
    pub(super) wakes: OnceCell<HashMap<InstanceName, Woken>>,
}

/// The table, and the task that keeps it.
#[derive(Debug)]
struct Live {
    table: Arc<Table>,
    rung: watch::Receiver<()>,
    task: AbortHandle,
}

/// What readers and the task share. It is held shortly.
#[derive(Debug, Default)]
pub(super) struct Table(Mutex<State>);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) board: Board<Line>,
    /// `None`: it is not filled yet.
    pub(super) machine: Option<Machine>,
    /// How often the machine was looked at.
    pub(super) looked: u64,
}

/// A reader's place at the table.
#[derive(Debug)]
pub(super) struct Seat {
    live: Arc<Live>,
    pub(super) reader: ReaderId,
    rung: watch::Receiver<()>,
}

impl Overview {
    /// Another reader; the first one starts the task.
    pub(super) fn join(&self, api: &Api) -> Seat {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let live = current.upgrade().filter(|live| !live.task.is_finished()).unwrap_or_else(|| {
            let live = Arc::new(Live::begin(api));
            *current = Arc::downgrade(&live);
            live
        });
        let reader = live.table.lock().board.join();
        let rung = live.rung.clone();
        Seat { live, reader, rung }
    }

    /// How many tasks keep a table.
    #[cfg(test)]
    pub(in crate::api) fn tasks(&self) -> usize {
        self.current.lock().unwrap().strong_count().min(1)
    }
}

impl Live {
    fn begin(api: &Api) -> Self {
        let (bell, rung) = watch::channel(());
        let table = Arc::new(Table::default());
        let task = Handle::current().spawn(producer::produce(api.clone(), Arc::clone(&table), bell));
        Self { table, rung, task: task.abort_handle() }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Table {
    /// Puts lines in that were not there.
    pub(super) fn fill(&self, lines: impl Iterator<Item = (InstanceName, Line)>) {
        let board = &mut self.lock().board;
        lines.for_each(|(name, line)| board.put(name, line));
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The table as it is now. What comes after this rings.
    pub(super) fn look(&mut self) -> MutexGuard<'_, State> {
        self.rung.mark_unchanged();
        self.live.table.lock()
    }

    /// Returns when there may be something new.
    pub(super) async fn rung(&mut self) -> Result<(), ApiError> {
        // Nobody keeps the table once the supervisor has ended.
        self.rung.changed().await.map_err(|_| CommandError::ShuttingDown.into())
    }

    /// Returns when the table is filled.
    pub(super) async fn filled(&mut self) -> Result<(), ApiError> {
        while self.look().machine.is_none() {
            self.rung().await?;
        }
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.live.table.lock().board.leave(self.reader);
    }
}
