//! The connection, and what becomes of a write that the disk did not take.
//!
//! ```text
//!   a write ─► one transaction ─► durable, then answered
//!                  │ the disk failed
//!                  ▼
//!   refused ─► overwritten by a transaction that changes nothing, before anything else is written
//! ```
//!
//! After a failed fsync(2) the kernel takes pages for written that may not be ("fsyncgate"), so a commit is never tried
//! again as it was. What it left at the end of the `-wal` would count once the file is opened anew: it is overwritten, so
//! that what was refused does not come back.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, config::DbConfig};
use tenement_core::layout;
use tenement_supervisor::StorageFault;

use super::{StoreError, schema::Meta};

/// One connection, one writer.
#[derive(Debug)]
pub(super) struct Db {
    path: PathBuf,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    connection: Connection,
    /// Another process has it now, and closes it.
    handed_over: bool,
    /// The end of the `-wal` may have what was refused.
    unsure: bool,
}

/// Opens a database as it is used here: what is committed survives a power cut.
pub(super) fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

impl Db {
    pub(super) fn new(path: &Path, connection: Connection) -> Self {
        Self {
            path: path.to_owned(),
            held: Mutex::new(Held { connection, handed_over: false, unsure: false }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on another process closes it in order.
    pub(super) fn hand_over(&self) {
        let mut held = self.lock();
        held.handed_over = true;
        // Whoever ends last would do away with the `-wal`, which belongs to one that is open, as it says itself.
        let kept = held.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        if let Err(error) = kept {
            tracing::warn!(%error, "the state may be taken for one that lost changes");
        }
    }

    /// Reads.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        work(&self.lock().connection).map_err(|error| self.explained(error))
    }

    /// Writes in one transaction, all or nothing; durable when it returns.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut held = self.lock();
        let written = held.settle().and_then(|()| transaction(&mut held.connection, work));
        written.map_err(|error| {
            if matches!(&error, StoreError::Sql(error) if is_of_the_disk(error)) {
                held.unsure = true;
                // If not now, then before the next.
                let _ = held.settle();
            }
            self.explained(error)
        })
    }

    /// What SQLite says, with what is wrong with the disk.
    fn explained(&self, error: StoreError) -> StoreError {
        let StoreError::Sql(source) = error else { return error };
        match fault(&source, &self.path) {
            StorageFault::Other => StoreError::Sql(source),
            fault => StoreError::Disk { path: self.path.clone(), fault, source },
        }
    }

    /// For tests: as long as this is held nobody else reads or writes.
    #[cfg(test)]
    pub(super) fn occupy(&self) -> impl Sized + '_ {
        self.lock()
    }
}

impl Held {
    /// Overwrites what was refused.
    fn settle(&mut self) -> Result<(), StoreError> {
        if self.unsure {
            transaction(&mut self.connection, |transaction| Ok(Meta::count(transaction)?))?;
            self.unsure = false;
        }
        Ok(())
    }
}

fn transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = transaction.total_changes();
    let done = work(&transaction)?;
    if transaction.total_changes() != before {
        Meta::count(&transaction)?;
    }
    transaction.commit()?;
    Ok(done)
}

impl Drop for Db {
    fn drop(&mut self) {
        let mut held = self.lock();
        if held.handed_over {
            return;
        }
        let closed = held.settle().and_then(|()| Ok(Meta::set_open(&held.connection, false)?));
        if let Err(error) = closed {
            tracing::error!(%error, "the state database could not be closed in order");
        }
    }
}

/// Whether a write may have been carried out in part.
fn is_of_the_disk(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, DiskFull, ReadOnly, SystemIoFailure};
    matches!(error.sqlite_error_code(), Some(CannotOpen | DiskFull | ReadOnly | SystemIoFailure))
}

/// What a failure says of the disk the database at `path` is on.
pub(super) fn fault(error: &rusqlite::Error, path: &Path) -> StorageFault {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StorageFault::Full,
        // SQLite has no word for a quota that is used up, and several for a disk that is full.
        Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => match probe(path) {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                StorageFault::Full
            }
            _ => StorageFault::Failing,
        },
        _ => StorageFault::Other,
    }
}

/// Whether something can be written beside a database.
fn probe(path: &Path) -> io::Result<()> {
    let probe = path.with_file_name(layout::PROBE);
    let mut options = fs::OpenOptions::new();
    let written = options.write(true).create(true).truncate(true).mode(0o600).open(&probe);
    let written = written.and_then(|mut file| file.write_all(&[0; 64 << 10]).and_then(|()| file.sync_all()));
    let removed = fs::remove_file(&probe);
    written.and(removed)
}
