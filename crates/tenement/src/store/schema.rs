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
",
];

pub(super) fn migrate(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    let found: i64 = connection.query_row("PRAGMA user_version", (), |row| row.get(0)).map_err(failed)?;
    let known = STEPS.len() as i64;
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    for (version, step) in (1_i64..).zip(STEPS).skip(usize::try_from(found).unwrap_or(0)) {
        connection
            .execute_batch(&format!("BEGIN IMMEDIATE; {step} PRAGMA user_version = {version}; COMMIT;"))
            .map_err(failed)?;
    }
    Ok(())
}
