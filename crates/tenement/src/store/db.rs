//! The connection, and what becomes of it when the disk fails.
//!
//! ```text
//!   a read, a write ─► connection, opened where there is none ─► one transaction ─► durable, then answered
//!                          ▲                                         │
//!                          └──── closed: what is on the disk counts ◄┴─ the disk failed
//! ```
//!
//! After a failed fsync(2) the kernel takes pages for written that are not ("fsyncgate"), so nothing is tried again on
//! what the connection remembers.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tenement_core::layout;
use tenement_supervisor::StorageFault;

use super::StoreError;

/// One connection, one writer.
#[derive(Debug)]
pub(super) struct Db {
    path: PathBuf,
    /// `None` from a failure of the disk to the next use.
    connection: Mutex<Option<Connection>>,
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
        Self { path: path.to_owned(), connection: Mutex::new(Some(connection)) }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut held = self.lock();
        let done = || {
            let connection = match &mut *held {
                Some(connection) => connection,
                none => none.insert(connect(&self.path)?),
            };
            work(connection)
        };
        let error = match done() {
            Err(StoreError::Sql(error)) => error,
            other => return other,
        };
        if is_broken(&error) {
            *held = None;
        }
        Err(self.explained(error))
    }

    /// Reads.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.with(|connection| work(connection))
    }

    /// Writes in one transaction, all or nothing; durable when it returns.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.with(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
    }

    /// What SQLite says, with what is wrong with the disk.
    fn explained(&self, source: rusqlite::Error) -> StoreError {
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

/// Whether what the connection remembers may be other than what is on the disk.
fn is_broken(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, DatabaseCorrupt, NotADatabase, ReadOnly, SystemIoFailure};
    let code = error.sqlite_error_code();
    matches!(code, Some(CannotOpen | DatabaseCorrupt | NotADatabase | ReadOnly | SystemIoFailure))
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
