//! What happened to instances, and who changed what.
//!
//! ```text
//!   a status changed ──┐                                ┌─► followers are told that there is more
//!                      ├─► queue ─► a thread ─► SQLite ─┤
//!   somebody changed ──┘     └─ full: counted as lost   └─► pages
//! ```
//!
//! Written on a thread of its own, so that neither the supervisor nor a request waits for a disk. What was written
//! survives the end of the process; a power cut may take the last of it. What a full disk does not take waits in the
//! queue until there is room; the database itself is opened then, if there was none for that.

mod audit;
mod events;
mod newest;
mod page;
mod prune;
mod schema;
mod wakes;
mod write;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, Row};
use tenement_core::{history::Transition, name::InstanceName};
use tenement_logs::LogStore;
use tenement_supervisor::{Observer, StorageFault};
use tokio::sync::watch;

use crate::{
    damage::{self, Loss},
    room,
};

pub use audit::{Change, ChangeQuery, Changed};
pub use events::{Event, EventQuery};
pub use newest::Happenings;
pub use page::Found;

/// Entries that wait to be written; further ones are lost.
const QUEUE: usize = 10_000;
/// Entries of one transaction.
const BATCH: usize = 1000;

/// Why the history can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The database failed.
    #[error("the history: {0}")]
    Sql(#[from] rusqlite::Error),
    /// Its file is not what it should be.
    #[error("the history '{}' can't be used: {why}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why, and what helps.
        why: String,
    },
    /// A newer program has written it.
    #[error(
        "the history '{}' was written by a newer tenement (format {found}, this one knows {known}): upgrade ten, or move that file away to begin anew", .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format this program knows.
        known: i64,
    },
    /// There was no room to open it.
    #[error("the history '{}' can't be read: there is no room to open it; make room there", .0.display())]
    NoRoom(PathBuf),
    /// Its thread could not be started.
    #[error("the history's thread: {0}")]
    Thread(#[from] io::Error),
}

impl HistoryError {
    /// What is wrong with the place where it is kept.
    #[must_use]
    pub fn fault(&self) -> StorageFault {
        let error = match self {
            Self::Sql(error) => error,
            Self::NoRoom(_) => return StorageFault::Full,
            _ => return StorageFault::Other,
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StorageFault::Full,
            Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                StorageFault::Failing
            }
            _ => StorageFault::Other,
        }
    }
}

/// Something to write down.
enum Entry {
    Event(Box<Transition>),
    Change(Box<Change>),
    /// What happened to an instance is to be erased.
    Erase(InstanceName, SyncSender<()>),
}

/// Where it is, and the connection that is read with.
#[derive(Debug)]
struct Files {
    path: PathBuf,
    reader: Mutex<Reader>,
}

#[derive(Debug, Default)]
struct Reader {
    connection: Option<Connection>,
    /// Another process has the files now.
    handed_over: bool,
}

impl Files {
    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the database for who writes and for who reads; for the latter alone, if there is no room for more.
    fn open(&self) -> Result<Connection, rusqlite::Error> {
        let mut reader = self.reader();
        // Nobody else could open it beside one that is open alone.
        reader.connection = None;
        let writer = schema::open(&self.path);
        reader.connection = match &writer {
            Ok(_) => Some(schema::open(&self.path)?),
            Err(_) if reader.handed_over => None,
            Err(_) => schema::open_alone(&self.path),
        };
        writer
    }
}

/// The history. Dropping it writes what waits, if it can be written.
#[derive(Debug)]
pub struct History {
    files: Arc<Files>,
    queue: Option<SyncSender<Entry>>,
    /// Dropped when nothing is to be waited for any more.
    open: Option<SyncSender<()>>,
    writer: Option<JoinHandle<()>>,
    /// Counts what was put into the queue, and what came out of it.
    queued: AtomicU64,
    written: watch::Receiver<u64>,
    /// Events alone.
    newest: watch::Receiver<newest::Newest>,
    /// Counts changes of any instance's status, before they are written.
    changes: watch::Sender<u64>,
    lost: AtomicU64,
}

impl History {
    /// As [`Self::open`]; one that is damaged is set aside, and the history begins anew.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn open_or_anew(path: &Path, logs: LogStore) -> Result<(Self, Option<Loss>), HistoryError> {
        let unusable = |why| HistoryError::Unusable { path: path.to_owned(), why };
        let loss = damage::set_aside_if_damaged(path).map_err(unusable)?;
        schema::check(path)?;
        Ok((Self::open(path, logs)?, loss))
    }

    /// Opens the history, makes it where it is missing, and starts the thread that writes. What instances printed
    /// before they ended is in `logs`.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn open(path: &Path, logs: LogStore) -> Result<Self, HistoryError> {
        let files = Arc::new(Files { path: path.to_owned(), reader: Mutex::default() });
        let writer = match files.open() {
            Err(error) if room::is_full(&error, path) => {
                tracing::error!(%error, "the disk is full: what happens is written to the history when there is room");
                None
            }
            opened => Some(opened?),
        };
        let (queue, entries) = sync_channel(QUEUE);
        let (all, written) = watch::channel(0);
        let (events, newest) = watch::channel(newest::Newest::default());
        let count = write::Counts { all, events };
        let (open, is_open) = sync_channel(1);
        let own = Arc::clone(&files);
        let write = move || write::write((writer, &own), &logs, &entries, &is_open, &count);
        let writer = thread::Builder::new().name("history".into()).spawn(write)?;
        Ok(Self {
            files,
            queue: Some(queue),
            open: Some(open),
            writer: Some(writer),
            queued: AtomicU64::new(0),
            written,
            newest,
            changes: watch::Sender::new(0),
            lost: AtomicU64::new(0),
        })
    }

    fn put(&self, entry: Entry) {
        let Some(queue) = &self.queue else { return };
        self.queued.fetch_add(1, Relaxed);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(entry) {
            self.queued.fetch_sub(1, Relaxed);
            self.lost.fetch_add(1, Relaxed);
            tracing::error!("an entry of the history is lost: the disk does not keep up");
        }
    }

    /// Writes down who changed something.
    pub fn record(&self, change: Change) {
        self.put(Entry::Change(Box::new(change)));
    }

    /// Erases what happened to an instance up to now; durable when it returns. Blocks on the disk, but not for ever.
    ///
    /// # Errors
    /// It can't be erased now. It may be later.
    pub fn erase(&self, name: InstanceName) -> io::Result<()> {
        const PATIENCE: Duration = Duration::from_secs(10);
        let (done, is_done) = sync_channel(1);
        self.put(Entry::Erase(name, done));
        is_done
            .recv_timeout(PATIENCE)
            .map_err(|_| io::Error::other("what happened to it can't be erased now"))
    }

    /// Until everything is written that happened before: who has just been answered finds what it did. Not longer than
    /// a second, as somebody may be waiting for the answer of a disk that is stuck.
    pub async fn caught_up(&self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        let (queued, mut written) = (self.queued.load(Relaxed), self.written.clone());
        let _ = tokio::time::timeout(PATIENCE, written.wait_for(|&written| written >= queued)).await;
    }

    /// Until everything is written that was put into the queue: a full disk may be waited for.
    pub(crate) async fn settled(&self) {
        let mut written = self.written.clone();
        let _ = written.wait_for(|&written| written >= self.queued.load(Relaxed)).await;
    }

    /// Changes whenever something was written.
    #[must_use]
    pub fn written(&self) -> watch::Receiver<u64> {
        self.written.clone()
    }

    /// Tells of events that were written.
    #[must_use]
    pub fn happenings(&self) -> Happenings {
        Happenings::new(self.newest.clone())
    }

    /// Changes whenever an instance's status does.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Reads with the connection that is there for that.
    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, HistoryError> {
        let reader = self.files.reader();
        let connection = reader.connection.as_ref();
        let connection = connection.ok_or_else(|| HistoryError::NoRoom(self.files.path.clone()))?;
        Ok(read(connection)?)
    }

    /// Whether this program knows the format of a history; one that is missing it knows.
    ///
    /// # Errors
    /// [`HistoryError::Newer`], or it can't be read.
    pub fn check(path: &Path) -> Result<(), HistoryError> {
        schema::check(path)
    }

    /// From now on another process has the files too: nothing is opened here that keeps it out.
    pub(crate) fn hand_over(&self) {
        let mut reader = self.files.reader();
        reader.handed_over = true;
        let is_alone = reader.connection.as_ref().is_some_and(is_alone);
        if is_alone {
            reader.connection = None;
        }
    }
}

impl Observer for History {
    fn changed(&self, transition: &Transition) {
        self.changes.send_modify(|count| *count += 1);
        self.put(Entry::Event(Box::new(transition.clone())));
    }
}

impl Drop for History {
    fn drop(&mut self) {
        (self.queue, self.open) = (None, None);
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn is_alone(connection: &Connection) -> bool {
    let mode = connection.query_row("PRAGMA locking_mode", (), |row| row.get::<_, String>(0));
    mode.is_ok_and(|mode| mode == "exclusive")
}

fn number(row: &Row<'_>, column: &str) -> Result<u64, rusqlite::Error> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
