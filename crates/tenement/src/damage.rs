//! Databases that are damaged, or not there any more: how that is found out, and what is told of it.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, config::DbConfig};
use tenement_core::time::WallMillis;
use tenement_runtime::clock;

use crate::{room, swap::aside};

/// Something of the daemon's own state was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// When that was found out.
    pub at: WallMillis,
    /// What, and what was done, for people.
    pub what: String,
    /// What is left of it, for whoever can read more of it.
    pub file: Option<PathBuf>,
}

/// Why a database is not used as it is.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It is damaged: how, for people.
    Damaged(String),
    /// It may be fine, and can't be used now.
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        use ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, FileLockingProtocolFailed, OutOfMemory,
            PermissionDenied, ReadOnly, SystemIoFailure,
        };
        match error.sqlite_error_code() {
            Some(
                CannotOpen
                | DatabaseBusy
                | DatabaseLocked
                | DiskFull
                | FileLockingProtocolFailed
                | OutOfMemory
                | PermissionDenied
                | ReadOnly
                | SystemIoFailure,
            ) => Self::Failed(error),
            _ => Self::Damaged(error.to_string()),
        }
    }
}

/// Whose a file is, and whether it is one that can be read and written.
///
/// # Errors
/// In words: what is wrong, and what helps.
pub(crate) fn usable(path: &Path) -> Result<(), String> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{error}: give it to this user")),
        Ok(found) => found,
    };
    let uid = rustix::process::geteuid().as_raw();
    if !found.is_file() {
        return Err("it is no file: move what is there out of the way".to_owned());
    }
    if found.uid() != uid {
        let owner = found.uid();
        return Err(format!(
            "it belongs to uid {owner}, and this is uid {uid}: give it to this user (chown)"
        ));
    }
    match fs::OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(format!("{error}: let this user read and write it (chmod 600)"))
        }
        Err(error) => Err(error.to_string()),
        Ok(_) => Ok(()),
    }
}

/// Opens a database so that nothing in its files changes: what is in its `-wal` stays there.
pub(crate) fn open_untouched(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = room::open(path, false)?.connection;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// How closely is looked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Look {
    /// In time that grows with what is there.
    Quick,
    /// Also at whether indexes say the same as what they are of.
    Thorough,
}

/// Whether everything in it is as SQLite would have written it.
pub(crate) fn check(connection: &Connection, look: Look) -> Result<(), Trouble> {
    let mut statement = connection.prepare(match look {
        Look::Quick => "PRAGMA quick_check(3)",
        Look::Thorough => "PRAGMA integrity_check(3)",
    })?;
    let found = statement.query_map((), |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    if found == ["ok"] { Ok(()) } else { Err(Trouble::Damaged(found.join("; ").replace('\n', " "))) }
}

/// Sees to it that a database can be opened of which nothing was promised: what is damaged is set aside.
///
/// # Errors
/// It can't be used, in words, or could not be set aside.
pub(crate) fn set_aside_if_damaged(path: &Path) -> Result<Option<Loss>, String> {
    usable(path)?;
    let sound = match fs::metadata(path) {
        Err(_) => return Ok(None),
        Ok(found) if found.len() == 0 => Err(Trouble::Damaged("it is empty".to_owned())),
        Ok(_) => {
            open_untouched(path).map_err(Trouble::from).and_then(|connection| check(&connection, Look::Quick))
        }
    };
    let why = match sound {
        Ok(()) => return Ok(None),
        Err(Trouble::Failed(error)) => return Err(error.to_string()),
        Err(Trouble::Damaged(why)) => why,
    };
    let at = clock::wall();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let suffix = corrupt(at);
    for end in ["-wal", "-shm", ""] {
        let own = format!("{name}{end}");
        match fs::rename(path.with_file_name(&own), path.with_file_name(aside(&own, &suffix))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(format!("it is damaged ({why}) and can't be set aside: {error}"));
            }
            _ => {}
        }
    }
    let file = path.with_file_name(aside(&name, &suffix));
    let what = format!("{name} was damaged ({why}) and begins anew; what was there is in {}", file.display());
    tracing::error!("{what}");
    Ok(Some(Loss { at, what, file: Some(file) }))
}

/// What the name of a damaged file ends with.
pub(crate) fn corrupt(at: WallMillis) -> String {
    format!("corrupt-{}", at.0 / 1000)
}
