//! The tables of the history.

use std::{path::Path, time::Duration};

use rusqlite::Connection;

use super::{HistoryError, prune::ROUTINE};
use crate::room;

/// Rises with every change that an earlier program would read wrongly.
const FORMAT: i64 = 0;

/// Whether this program knows the format of what is there.
pub(super) fn check(path: &Path) -> Result<(), HistoryError> {
    if !path.exists() {
        return Ok(());
    }
    let found = room::version(path)?;
    match found > FORMAT {
        true => Err(HistoryError::Newer { path: path.to_owned(), found, known: FORMAT }),
        false => Ok(()),
    }
}

/// Opens what is there on a disk without room, for this process alone, to read in it.
pub(super) fn open_alone(path: &Path) -> Option<Connection> {
    room::open(path, false).ok().filter(|opened| opened.alone).map(|opened| opened.connection)
}

pub(super) fn open(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // What an instance printed is not to be found in the file once it is erased.
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         CREATE TABLE IF NOT EXISTS events (
             seq INTEGER PRIMARY KEY AUTOINCREMENT,
             at INTEGER NOT NULL,
             service TEXT NOT NULL,
             id TEXT NOT NULL,
             run INTEGER NOT NULL,
             was TEXT NOT NULL,
             became TEXT,
             health TEXT NOT NULL,
             cause TEXT NOT NULL,
             actor TEXT,
             reason TEXT,
             exit_code INTEGER,
             signal INTEGER,
             oom INTEGER NOT NULL,
             lasted_ms INTEGER NOT NULL
         ) STRICT;
         CREATE INDEX IF NOT EXISTS events_of_instance ON events (service, id, seq);
         CREATE TABLE IF NOT EXISTS changes (
             seq INTEGER PRIMARY KEY AUTOINCREMENT,
             at INTEGER NOT NULL,
             actor TEXT NOT NULL,
             root TEXT,
             token_name TEXT,
             source TEXT,
             action TEXT NOT NULL,
             method TEXT NOT NULL,
             path TEXT NOT NULL,
             instance TEXT,
             token TEXT,
             status INTEGER NOT NULL
         ) STRICT;
         CREATE TABLE IF NOT EXISTS last_lines (
             event INTEGER PRIMARY KEY,
             of_service TEXT NOT NULL,
             of_id TEXT NOT NULL,
             place INTEGER NOT NULL,
             lines TEXT NOT NULL
         ) STRICT;
         CREATE INDEX IF NOT EXISTS last_lines_of_instance ON last_lines (of_service, of_id, event);
         CREATE INDEX IF NOT EXISTS changes_of_routine ON changes (seq) WHERE action IN {ROUTINE};
         CREATE INDEX IF NOT EXISTS changes_of_weight ON changes (seq) WHERE action NOT IN {ROUTINE};"
    ))?;
    let root = "SELECT EXISTS (SELECT 1 FROM pragma_table_info('changes') WHERE name = 'root')";
    if !connection.query_row(root, (), |row| row.get::<_, bool>(0))? {
        connection.execute("ALTER TABLE changes ADD COLUMN root TEXT", ())?;
    }
    connection.execute_batch("COMMIT")?;
    Ok(connection)
}
