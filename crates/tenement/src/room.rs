//! Databases on a disk without room. SQLite needs 32 KiB for the `-shm` of a database before it reads a byte of it, and the
//! first to open one after a kill throws away what the last one had.
//!
//! ```text
//!   as ever ── no room for the -shm ──► alone: the index of the -wal is in memory, and nobody else can open it
//! ```
//!
//! So what is there can be read, and what the `-wal` has room for be written. Whoever has one open alone opens it as ever
//! when there is room.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};
use tenement_core::layout;

/// An open database.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    /// Nobody else can open it.
    pub(crate) alone: bool,
}

/// What is there is opened for reading and writing; it is made where it is missing, if `makes`. Who opens it alone leaves
/// its `-wal` as it is at the end.
///
/// # Errors
/// SQLite's.
pub(crate) fn open(path: &Path, makes: bool) -> Result<Opened, rusqlite::Error> {
    let connect = || -> Result<Connection, rusqlite::Error> {
        let create = if makes { OpenFlags::SQLITE_OPEN_CREATE } else { OpenFlags::empty() };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | create;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        Ok(connection)
    };
    let connection = connect()?;
    match touch(&connection) {
        Err(error) if may_be_room(&error) => {
            // What was begun of a -shm is of no use.
            drop(connection);
            let connection = connect()?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            touch(&connection).map_err(|_| error)?;
            Ok(Opened { connection, alone: true })
        }
        // Damage is found by who looks for it.
        _ => Ok(Opened { connection, alone: false }),
    }
}

/// Reads as little as there is; that opens everything.
fn touch(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))
}

/// Whether a failure may come from a disk that is full: SQLite has several words for that.
pub(crate) fn may_be_room(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, DiskFull, SystemIoFailure};
    matches!(error.sqlite_error_code(), Some(DiskFull | SystemIoFailure | CannotOpen))
}

/// Whether a failure is that of a full disk, where the database at `path` is.
pub(crate) fn is_full(error: &rusqlite::Error, path: &Path) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || may_be_room(error) && matches!(probe(path), Err(error) if has_no_room(&error))
}

/// Whether a write failed for want of room on the disk, or within a quota.
pub(crate) fn has_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether something can be written beside a database: as much as it needs to be opened.
///
/// # Errors
/// It can't.
pub(crate) fn probe(path: &Path) -> io::Result<()> {
    let probe = path.with_file_name(layout::PROBE);
    let mut options = fs::OpenOptions::new();
    let written = options.write(true).create(true).truncate(true).mode(0o600).open(&probe);
    let written = written.and_then(|mut file| file.write_all(&[0; 64 << 10]).and_then(|()| file.sync_all()));
    let removed = match fs::remove_file(&probe) {
        // Whoever opens another database here tries the same.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    written.and(removed)
}

/// The `user_version` of a database, of which nothing is changed. In that of one that somebody has open alone, as its file has
/// it.
///
/// # Errors
/// It can't be read.
pub(crate) fn version(path: &Path) -> Result<i64, rusqlite::Error> {
    /// Where it stands in the file, big-endian: <https://www.sqlite.org/fileformat2.html#user_version_number>.
    const PLACE: std::ops::Range<usize> = 60..64;
    let read = |connection: Connection| -> Result<i64, rusqlite::Error> {
        connection.busy_timeout(std::time::Duration::from_millis(200))?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.query_row("PRAGMA user_version", (), |row| row.get(0))
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    match Connection::open_with_flags(path, flags).and_then(read) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            let mut head = [0; PLACE.end];
            let whole = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
            let place = head[PLACE].try_into().ok().filter(|_| whole.is_ok());
            place.map(|bytes| i64::from(i32::from_be_bytes(bytes))).ok_or(error)
        }
        Err(error) if may_be_room(&error) => read(open(path, false)?.connection),
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_who_try_at_once_find_the_room_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        std::thread::scope(|scope| {
            let all: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..50).try_for_each(|_| probe(&path)))).collect();
            all.into_iter().for_each(|one| one.join().unwrap().unwrap());
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
