//! The connection, and what becomes of a write that the disk did not take.
//!
//! ```text
//!   a write ─► one transaction ─► durable, then answered
//!                  │ the disk failed
//!                  ▼
//!   refused ─► overwritten by a transaction that changes nothing, before anything else is written
//! ```
//!
//! On a disk without room it is open [alone](room), and what an opening writes is written before the first change.
//!
//! After a failed fsync(2) the kernel takes pages for written that may not be ("fsyncgate"), so a commit is never tried
//! again as it was. What it left at the end of the `-wal` would count once the file is opened anew: it is overwritten, so
//! that what was refused does not come back.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, config::DbConfig};
use tenement_supervisor::StorageFault;

use super::{StoreError, schema::Meta};
use crate::room::{self, Opened};

/// One connection, one writer.
#[derive(Debug)]
pub(super) struct Db {
    path: PathBuf,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    path: PathBuf,
    /// None: it could not be opened anew, or another process has it alone.
    connection: Option<Connection>,
    /// Nobody else can open it, for want of room.
    alone: bool,
    /// That it is open stands in the file.
    marked: bool,
    /// Another process has it now, and closes it.
    handed_over: bool,
    /// The end of the `-wal` may have what was refused.
    unsure: bool,
}

/// Opens a database as it is used here: what is committed survives a power cut. Its `-wal` outlives the connection, as one
/// that is not closed in order needs it.
pub(super) fn connect(path: &Path) -> Result<Opened, rusqlite::Error> {
    let opened = room::open(path, true)?;
    let connection = &opened.connection;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(opened)
}

impl Db {
    /// `marked`: that it is open stands in the file.
    pub(super) fn new(path: &Path, Opened { connection, alone }: Opened, marked: bool) -> Self {
        if alone {
            tracing::error!(path = %path.display(), "the disk is full: what is there is served, and changes are refused");
        }
        let connection = Some(connection);
        let held =
            Held { path: path.to_owned(), connection, alone, marked, handed_over: false, unsure: false };
        Self { path: path.to_owned(), held: Mutex::new(held) }
    }

    /// Makes good what there was no room for, if there is now.
    pub(super) fn recover(&self) {
        let mut held = self.lock();
        if held.is_behind() {
            // If not now, then later.
            let _ = held.settle();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on another process closes it in order.
    pub(super) fn hand_over(&self) {
        let mut held = self.lock();
        if held.alone {
            let _ = held.settle();
        }
        held.handed_over = true;
        if held.alone {
            held.connection = None;
        }
    }

    /// Reads.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut held = self.lock();
        held.connected().and_then(|connection| work(connection)).map_err(|error| self.explained(error))
    }

    /// Writes in one transaction, all or nothing; durable when it returns.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut held = self.lock();
        let written = held.settle().and_then(|()| transaction(held.connected()?, work));
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
    fn is_behind(&self) -> bool {
        self.unsure || self.alone || !self.marked || self.connection.is_none()
    }

    fn connected(&mut self) -> Result<&mut Connection, StoreError> {
        if self.connection.is_none() && !self.handed_over {
            let Opened { connection, alone } = connect(&self.path)?;
            (self.connection, self.alone) = (Some(connection), alone);
        }
        self.connection.as_mut().ok_or_else(|| StoreError::Unusable {
            path: self.path.clone(),
            why: "another daemon takes over".to_owned(),
        })
    }

    /// Overwrites what was refused, and makes good what there was no room for.
    fn settle(&mut self) -> Result<(), StoreError> {
        if self.unsure {
            transaction(self.connected()?, |transaction| Ok(Meta::count(transaction)?))?;
            self.unsure = false;
        }
        // What was refused is overwritten, so that it can be closed.
        if self.alone && !self.handed_over && room::probe(&self.path).is_ok() {
            self.connection = None;
            self.connected()?;
            if !self.alone {
                tracing::info!(path = %self.path.display(), "the disk has room again: changes are taken");
            }
        }
        if !self.marked {
            let marked = Meta::set_open(self.connected()?, true);
            if let Err(error) = marked {
                self.unsure = true;
                return Err(error.into());
            }
            self.marked = true;
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
        let closed = held.settle().and_then(|()| {
            let connection = held.connected()?;
            Meta::set_open(connection, false)?;
            // Nothing is in the `-wal` that is not in the file.
            Ok(connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop)?)
        });
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
        Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            match room::probe(path) {
                Err(error) if room::has_no_room(&error) => StorageFault::Full,
                _ => StorageFault::Failing,
            }
        }
        _ => StorageFault::Other,
    }
}
