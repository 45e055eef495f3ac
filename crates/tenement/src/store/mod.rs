//! What the user was told is done: instances, their environment, tokens. SQLite with WAL and
//! `synchronous=FULL`, so that it survives a power cut.

mod answers;
mod grant;
mod records;
mod schema;
mod share;
mod tokens;
mod valid;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, ErrorCode};
use tenement_core::layout;

pub use answers::{Answer, AnswerKey};
pub use grant::{Binding, Grant, Scope, Wanted};
pub use share::{Held, Share};
pub use tokens::{NewToken, random_token};

use crate::token_file;

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

/// The state database. One connection, one writer.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
    valid: valid::Valid,
    /// A part of what kept answers are sealed with.
    seal: String,
}

impl StoreError {
    /// Whether the disk is full or does not do what it should.
    #[must_use]
    pub fn is_of_the_disk(&self) -> bool {
        let (Self::Open { source, .. } | Self::Sql(source)) = self else { return false };
        matches!(source.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure))
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
    /// Opens the database, makes it where it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// It can't be opened, is damaged, or was written by a newer program. It is left as it is.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { path: path.to_owned(), source };
        let connection = Connection::open(path).map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(failed)?;
        schema::migrate(&connection, path)?;
        let valid = valid::Valid::default();
        tokens::load(&connection, &valid).map_err(|error| match error {
            StoreError::Sql(source) => failed(source),
            other => other,
        })?;
        let seal = seal(path)?;
        Ok(Self { connection: Mutex::new(connection), valid, seal })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
