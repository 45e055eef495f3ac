//! What the user was told is done: instances, their environment, tokens. SQLite with WAL and
//! `synchronous=FULL`, so that it survives a power cut.

mod answers;
mod db;
mod grant;
mod losses;
mod open;
mod records;
mod salvage;
mod schema;
mod share;
mod tokens;
mod valid;

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use rusqlite::ErrorCode;
use tenement_core::layout;
use tenement_supervisor::{StorageError, StorageFault};

pub use answers::{Answer, AnswerKey};
pub use grant::{Binding, Grant, Kind, Scope, Wanted};
/// The newest schema this program knows.
pub const SCHEMA: i64 = schema::NEWEST;

pub use share::{Held, Share, Turn};
pub use tokens::{NewToken, is_token_id, random_code, random_token};

pub use crate::damage::Loss;
use crate::{room, token_file};

/// Why the store is not usable, or a statement failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be opened, or is damaged.
    #[error("the state database '{}' can't be used: {source}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// It is not what it should be.
    #[error("the state database '{}' can't be used: {why}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why, and what helps.
        why: String,
    },
    /// Somebody else has it.
    #[error("the state database '{}' is locked by another program, such as sqlite3(1) or a backup: end that, then start again", .path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// It is damaged, and nothing can be put in its place.
    #[error("the state database '{}' is damaged ({how}) and can't be set aside: {source}; make room there, or repair the disk", .path.display())]
    Aside {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        how: String,
        /// Why.
        source: std::io::Error,
    },
    /// Its schema is newer than this program.
    #[error("the state database '{}' was written by a newer tenement (schema {found}, this one knows {known}): upgrade ten", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema this program knows.
        known: i64,
    },
    /// The disk it is on is full, or fails.
    #[error("the state database '{}': {source}; {}", .path.display(), remedy(*.fault))]
    Disk {
        /// The file.
        path: PathBuf,
        /// What is wrong with the disk.
        fault: StorageFault,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A statement failed.
    #[error("the state database: {0}")]
    Sql(#[from] rusqlite::Error),
    /// A row says what can't be.
    #[error("a record in the state database is damaged: {0}")]
    Damaged(String),
    /// The secret beside the database can't be read or made.
    #[error("'{}' can't be used: {source}", .path.display())]
    Seal {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The kernel gave no random bytes.
    #[error("no randomness: {0}")]
    Random(getrandom::Error),
}

fn remedy(fault: StorageFault) -> &'static str {
    match fault {
        StorageFault::Full => "make room there",
        StorageFault::Failing => "the disk fails, or can't be written any more: see dmesg(1) and mount(8)",
        StorageFault::Other => "see the daemon's log",
    }
}

/// The state database.
#[derive(Debug)]
pub struct Store {
    db: db::Db,
    valid: valid::Valid,
    /// Held while a token is made or ended, in the database and in `valid`: what is let in by one that ends goes with it.
    changing: Mutex<()>,
    /// A part of what kept answers are sealed with.
    seal: String,
    /// What was found to be lost when it was opened.
    found: Option<Loss>,
    /// Losses that could not be written down yet.
    unwritten: Mutex<Vec<Loss>>,
}

impl StoreError {
    /// Whether the disk is full or does not do what it should.
    #[must_use]
    pub fn is_of_the_disk(&self) -> bool {
        let (Self::Open { source, .. } | Self::Sql(source) | Self::Disk { source, .. }) = self else {
            return false;
        };
        matches!(source.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure))
    }

    /// What is wrong with the place where the state is kept.
    #[must_use]
    pub fn fault(&self) -> StorageFault {
        match self {
            Self::Disk { fault, .. } => *fault,
            _ => StorageFault::Other,
        }
    }
}

/// The secret in the file beside a database; it is made where it is missing.
fn seal(path: &Path) -> Result<String, StoreError> {
    let path = path.with_file_name(layout::SEAL);
    match std::fs::read_to_string(&path) {
        Ok(seal) if !seal.is_empty() => return Ok(seal),
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(StoreError::Seal { path, source });
        }
        _ => {}
    }
    let seal = random_token()?;
    token_file::save(&path, &seal).map_err(|source| StoreError::Seal { path, source })?;
    Ok(format!("{seal}\n"))
}

impl Store {
    /// Whether this program knows the schema of what is there, and has room to bring it up to date. Nothing is changed.
    ///
    /// # Errors
    /// [`StoreError::Newer`], or it can't be read or written.
    pub fn check(path: &Path) -> Result<(), StoreError> {
        if let Ok(false) = path.try_exists() {
            return Ok(());
        }
        let found = room::version(path)?;
        schema::check(found, path)?;
        if found < SCHEMA {
            room::probe(path).map_err(|error| {
                let why = format!("its schema has to be brought up to date, and {error}: make room there");
                StoreError::Unusable { path: path.to_owned(), why }
            })?;
        }
        Ok(())
    }

    /// Makes good what there was no room for, if there is now. Blocks.
    pub(crate) fn recover(&self) {
        self.db.recover();
        self.note_unwritten();
    }

    /// From now on another process has the database, and closes it in order.
    pub(crate) fn hand_over(&self) {
        self.db.hand_over();
    }

    /// Opens the database, makes it where it is missing, and brings its schema up to date. A damaged one is set aside,
    /// and what can still be read of it taken over: [`Self::found`].
    ///
    /// # Errors
    /// It can't be opened, or was written by a newer program. It is left as it is.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let open::Opened { db, valid, loss } = open::open(path)?;
        let seal = seal(path)?;
        let (found, unwritten, changing) = (loss.clone(), Mutex::default(), Mutex::default());
        let store = Self { db, valid, changing, seal, found, unwritten };
        loss.into_iter().for_each(|loss| store.note(loss));
        Ok(store)
    }
}

impl From<StoreError> for StorageError {
    fn from(error: StoreError) -> Self {
        Self { fault: error.fault(), words: error.to_string() }
    }
}

#[cfg(test)]
mod tests;
