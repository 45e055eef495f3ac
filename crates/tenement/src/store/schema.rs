//! The schema, as a list of steps; `user_version` says how many were taken.

use std::path::Path;

use rusqlite::Connection;

use super::StoreError;

const STEPS: &[&str] = &[
    "
    CREATE TABLE instances (
        service TEXT NOT NULL,
        id TEXT NOT NULL,
        env TEXT NOT NULL,
        desired TEXT NOT NULL CHECK (desired IN ('up', 'stopped')),
        created_at INTEGER NOT NULL,
        PRIMARY KEY (service, id)
    ) STRICT;
    CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        hash BLOB NOT NULL UNIQUE,
        created_at INTEGER NOT NULL,
        expires_at INTEGER
    ) STRICT;
",
    "
    ALTER TABLE tokens ADD COLUMN scopes TEXT NOT NULL DEFAULT 'admin';
    ALTER TABLE tokens ADD COLUMN service TEXT;
    ALTER TABLE tokens ADD COLUMN instance TEXT;
    ALTER TABLE tokens ADD COLUMN last_used INTEGER;
    CREATE TABLE answers (
        key BLOB PRIMARY KEY,
        request BLOB NOT NULL,
        status INTEGER NOT NULL,
        body BLOB NOT NULL,
        at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX answers_at ON answers (at);
",
    "
    CREATE TABLE leaving (
        service TEXT NOT NULL,
        id TEXT NOT NULL,
        data INTEGER NOT NULL,
        logs INTEGER NOT NULL,
        PRIMARY KEY (service, id)
    ) STRICT;
    CREATE TABLE losses (at INTEGER NOT NULL, what TEXT NOT NULL, file TEXT) STRICT;
    CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        commits INTEGER NOT NULL,
        open INTEGER NOT NULL
    ) STRICT;
    INSERT INTO meta (id, commits, open) VALUES (1, 0, 0);
",
    "
    ALTER TABLE tokens ADD COLUMN kind TEXT NOT NULL DEFAULT 'token';
    ALTER TABLE tokens ADD COLUMN maker TEXT;
",
    "
    CREATE TABLE made (file TEXT PRIMARY KEY) STRICT;
",
];

/// What tells whether the files of a database are of the same time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meta {
    /// Grows with every transaction that changed something.
    pub(super) commits: i64,
    /// Somebody had it open and did not close it.
    pub(super) open: bool,
}

impl Meta {
    /// `None`: it is older than that, or can't be read.
    pub(super) fn read(connection: &Connection) -> Option<Self> {
        let read = |row: &rusqlite::Row<'_>| Ok(Self { commits: row.get(0)?, open: row.get(1)? });
        connection.query_row("SELECT commits, open FROM meta", (), read).ok()
    }

    /// Part of every transaction that changes something.
    pub(super) fn count(connection: &Connection) -> Result<(), rusqlite::Error> {
        connection.execute("UPDATE meta SET commits = commits + 1", ()).map(drop)
    }

    /// In the file itself when it returns, not only in its `-wal`.
    pub(super) fn set_open(connection: &Connection, open: bool) -> Result<(), rusqlite::Error> {
        connection.execute("UPDATE meta SET commits = commits + 1, open = ?1", [open])?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
    }
}

/// How many steps were taken.
pub(super) fn version(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.query_row("PRAGMA user_version", (), |row| row.get(0))
}

/// The newest that is known.
pub(super) const NEWEST: i64 = STEPS.len() as i64;

/// Whether this program knows a schema, of the database at `path`.
pub(super) fn check(found: i64, path: &Path) -> Result<(), StoreError> {
    if found > NEWEST {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: NEWEST });
    }
    Ok(())
}

pub(super) fn migrate(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    let found = version(connection)?;
    check(found, path)?;
    for (version, step) in (1_i64..).zip(STEPS).skip(usize::try_from(found).unwrap_or(0)) {
        connection
            .execute_batch(&format!("BEGIN IMMEDIATE; {step} PRAGMA user_version = {version}; COMMIT;"))
            .map_err(failed)?;
    }
    Ok(())
}
