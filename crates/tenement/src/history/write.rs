//! The thread that writes. What can't be written now, as the disk is full, waits for a time when it can.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode};
use tenement_logs::{LastLines, LogStore};
use tokio::sync::watch;

use super::{BATCH, Entry, Files, audit, events, newest::Newest, prune};

/// Between a try and the next.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes what comes, until nothing can come any more. `open` ends with the history: then nothing is waited for.
pub(super) fn write(
    (mut connection, files): (Option<Connection>, &Files),
    logs: &LogStore,
    entries: &Receiver<Entry>,
    open: &Receiver<()>,
    count: &Counts,
) {
    let mut unpruned = prune::EVERY;
    loop {
        let next = match connection {
            Some(_) => entries.recv().map_err(|_| RecvTimeoutError::Disconnected),
            None => entries.recv_timeout(PAUSE),
        };
        let first = match next {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => {
                // Who reads is to find it open as ever, too.
                connection = connection.or_else(|| files.open().ok());
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let batch: Vec<Entry> = std::iter::once(first).chain(entries.try_iter().take(BATCH - 1)).collect();
        // Looked for before the transaction: it may wait for another disk.
        let last = last_lines(&batch, logs);
        unpruned += batch.len();
        let written = || {
            let connection = match &mut connection {
                Some(connection) => connection,
                none => none.insert(files.open()?),
            };
            put(connection, &batch, &last, unpruned >= prune::EVERY)
        };
        if persist(written, batch.len(), open)
            && let Some(connection) = &connection
        {
            tell(&batch, connection);
        }
        unpruned %= prune::EVERY;
        count.add(&batch);
    }
}

/// How many entries came out of the queue.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) all: watch::Sender<u64>,
    /// Events alone: changes that are made over the API wake nobody who follows those.
    pub(super) events: watch::Sender<Newest>,
}

impl Counts {
    fn add(&self, batch: &[Entry]) {
        let name = |entry: &Entry| match entry {
            Entry::Event(event) => Some(event.instance.clone()),
            _ => None,
        };
        let mut events = batch.iter().filter_map(name).peekable();
        if events.peek().is_some() {
            self.events.send_modify(|newest| newest.add(events));
        }
        self.all.send_modify(|count| *count += batch.len() as u64);
    }
}

/// Tells who waits until something is erased for good: a commit alone waits for no disk here.
fn tell(batch: &[Entry], connection: &Connection) {
    let waiting = |entry: &Entry| if let Entry::Erase(_, done) = entry { Some(done.clone()) } else { None };
    let waiting: Vec<_> = batch.iter().filter_map(waiting).collect();
    if waiting.is_empty() {
        return;
    }
    match connection.query_row("PRAGMA wal_checkpoint(FULL)", (), |_| Ok(())) {
        Ok(()) => {
            for done in waiting {
                // An error means that nobody waits any more.
                let _ = done.try_send(());
            }
        }
        Err(error) => {
            tracing::error!(%error, "what was erased of the history may come back after a power cut")
        }
    }
}

/// Tries until it is done, or hopeless. Whether it is done.
fn persist(
    mut put: impl FnMut() -> Result<(), rusqlite::Error>,
    entries: usize,
    open: &Receiver<()>,
) -> bool {
    let mut waits = false;
    loop {
        // What is known before a try: the one after the end is the last.
        let is_open = open.recv_timeout(if waits { PAUSE } else { Duration::ZERO });
        match put() {
            Ok(()) => {
                if waits {
                    tracing::info!(entries, "the history is written again");
                }
                return true;
            }
            Err(error) if may_pass(&error) && is_open == Err(RecvTimeoutError::Timeout) => {
                if !waits {
                    tracing::error!(%error, entries, "the history could not be written; it is tried again");
                }
                waits = true;
            }
            Err(error) => {
                tracing::error!(%error, lost = entries, "the history could not be written");
                return false;
            }
        }
    }
}

/// Whether it may work later.
fn may_pass(error: &rusqlite::Error) -> bool {
    use ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, FileLockingProtocolFailed, OutOfMemory,
        PermissionDenied, ReadOnly, SystemIoFailure,
    };
    matches!(
        error.sqlite_error_code(),
        Some(
            DiskFull
                | SystemIoFailure
                | DatabaseBusy
                | DatabaseLocked
                | CannotOpen
                | ReadOnly
                | PermissionDenied
                | OutOfMemory
                | FileLockingProtocolFailed
        )
    )
}

/// What went before each entry in the log, where it is an end that nobody asked for.
fn last_lines(batch: &[Entry], logs: &LogStore) -> Vec<Option<LastLines>> {
    let ends = batch.iter().map(|entry| match entry {
        Entry::Event(event) if events::is_unasked_end(event) => Some(event),
        _ => None,
    });
    let ends: Vec<_> = ends.collect();
    logs.take_in(ends.iter().flatten().map(|event| &event.instance));
    ends.into_iter().map(|end| events::last_lines(end?, logs)).collect()
}

fn put(
    connection: &mut Connection,
    batch: &[Entry],
    last: &[Option<LastLines>],
    too_many: bool,
) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    for (entry, last) in batch.iter().zip(last) {
        match entry {
            Entry::Event(transition) => events::insert(&transaction, transition, last.as_ref())?,
            Entry::Change(change) => audit::insert(&transaction, change)?,
            Entry::Erase(name, _) => events::erase(&transaction, name)?,
        }
    }
    if last.iter().any(Option::is_some) {
        prune::prune_lines(&transaction)?;
    }
    if too_many {
        prune::prune(&transaction)?;
    }
    transaction.commit()
}
