//! Running processes and the lives of instances, in SQLite without `fsync(2)`: what is written outlives the daemon, for the
//! kernel has it. It is void after a reboot, as processes are.
//!
//! ```text
//!   launched, forget ─► pending ─► at once ──┬──► one transaction, all that is pending ──► written
//!   changed, gone ────► pending ─► a thread ─┘        ▲                    │ no room
//!                                                     └─── again, later ◄──┘
//! ```
//!
//! What can't be written stays pending, the last of each instance, so that it is bounded. A daemon that is killed before there
//! is room leaves processes of which nothing is written down: the next one knows them by what they carry
//! ([`tenement_supervisor::recover`]).

mod note;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, config::DbConfig, params};
use serde::{Serialize, de::DeserializeOwned};
use tenement_core::{name::InstanceName, slot::RunId, time::Millis};
use tenement_supervisor::{Life, Remembered, Run, Runs};

use self::note::Note;
use crate::{
    damage::{self, Loss},
    room::{self, Opened},
};

/// Rises with every change that an earlier program would read wrongly.
const FORMAT: i64 = 1;
/// Between a try to write and the next.
const PAUSE: Duration = Duration::from_secs(1);

/// Why nothing can be remembered.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    /// The database can't be used.
    #[error("'{path}' can't be used: {source}")]
    Sql {
        /// The file.
        path: String,
        /// Why.
        source: rusqlite::Error,
    },
    /// Its file is not what it should be.
    #[error("'{path}' can't be used: {why}")]
    Unusable {
        /// The file.
        path: String,
        /// Why, and what helps.
        why: String,
    },
    /// A newer program has written it, whose processes run.
    #[error(
        "'{path}' is of a newer tenement (format {found}, this one knows {FORMAT}): upgrade ten, or end its instances"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its format.
        found: i64,
    },
    /// No thread.
    #[error("can't start threads: {0}")]
    Thread(std::io::Error),
}

/// The database of one data directory.
pub struct RunStore {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    path: PathBuf,
    boot_id: String,
    held: Mutex<Held>,
    pending: Mutex<Pending>,
    work: Condvar,
}

#[derive(Default)]
struct Held {
    /// Nothing once it is closed, or as long as there is no room to open it.
    connection: Option<Connection>,
    /// Nobody else can open it, for want of room.
    alone: bool,
    /// Somebody else has it now.
    closed: bool,
}

#[derive(Default)]
struct Pending {
    notes: BTreeMap<InstanceName, Note>,
    /// The last try failed.
    failing: bool,
    stop: bool,
}

/// What is remembered.
#[derive(Debug, Default)]
pub struct Found {
    /// Of each instance.
    pub all: BTreeMap<InstanceName, Remembered>,
    /// Records that can't be read, and why.
    pub refused: Vec<String>,
}

impl RunStore {
    /// Opens the database, makes it where it is missing, and empties it if it is of another boot. One that is damaged is set
    /// aside and made anew. Where there is no room for one, what is noted waits in memory.
    ///
    /// # Errors
    /// See [`RunsError`].
    pub fn open(path: &Path, boot_id: &str) -> Result<(Self, Option<Loss>), RunsError> {
        let shown = path.display().to_string();
        let loss = damage::set_aside_if_damaged(path)
            .map_err(|why| RunsError::Unusable { path: shown.clone(), why })?;
        let held = match open(path, boot_id) {
            Ok(Opened { connection, alone }) => Held { connection: Some(connection), alone, closed: false },
            Err(RunsError::Sql { source, .. }) if room::is_full(&source, path) => Held::default(),
            Err(error) => return Err(error),
        };
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            boot_id: boot_id.to_owned(),
            held: Mutex::new(held),
            pending: Mutex::default(),
            work: Condvar::new(),
        });
        let worker = Arc::clone(&shared);
        let writer = std::thread::Builder::new().name("runs".into()).spawn(move || worker.run());
        Ok((Self { shared, writer: Some(writer.map_err(RunsError::Thread)?) }, loss))
    }

    /// All that is remembered. What can't be read is left out.
    ///
    /// # Errors
    /// See [`RunsError::Sql`].
    pub fn remembered(&self) -> Result<Found, RunsError> {
        let failed = |source| RunsError::Sql { path: self.shared.path.display().to_string(), source };
        self.shared.flush();
        let (mut found, held) = (Found::default(), lock(&self.shared.held));
        if let Some(connection) = &held.connection {
            let lives = rows::<Life>(connection, "SELECT name, life FROM lives", &mut found.refused);
            for (name, life) in lives.map_err(failed)? {
                found.all.entry(name).or_default().life = Some(life);
            }
            let runs = rows::<Run>(connection, "SELECT name, run FROM runs", &mut found.refused);
            for (name, run) in runs.map_err(failed)? {
                found.all.entry(name).or_default().run = Some(run);
            }
        }
        for (name, note) in &lock(&self.shared.pending).notes {
            note.over(found.all.entry(name.clone()).or_default());
        }
        Ok(found)
    }

    /// Forgets everything: after the orderly end nothing is running.
    pub fn clear(&self) {
        let mut held = lock(&self.shared.held);
        lock(&self.shared.pending).notes.clear();
        let Some(connection) = &held.connection else { return };
        if let Err(error) = connection.execute_batch("DELETE FROM lives; DELETE FROM runs;") {
            tracing::warn!(%error, "what was running can't be erased from its database, which is removed");
            *held = Held { closed: true, ..Held::default() };
            remove(&self.shared.path);
        }
    }

    /// Notes when instances were last used. Whether it is written.
    #[must_use]
    pub fn used(&self, all: &[(InstanceName, Millis)]) -> bool {
        self.shared.write(|transaction| {
            let sql = "UPDATE lives SET life = json_set(life, '$.last_active', ?2) WHERE name = ?1";
            let mut statement = transaction.prepare_cached(sql)?;
            all.iter().try_for_each(|(name, at)| {
                statement.execute(params![name.to_string(), at.0.cast_signed()]).map(drop)
            })
        })
    }

    /// Writes what was noted, and leaves the file to whoever opens it next.
    pub fn close(&self) {
        self.shared.flush();
        let mut held = lock(&self.shared.held);
        if let Some(connection) = &held.connection {
            // What its -wal has room for the next daemon has too.
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
        *held = Held { closed: true, ..Held::default() };
    }
}

/// Whether this program knows the format of what is there.
///
/// # Errors
/// [`RunsError::Newer`], or it can't be read.
pub fn check(path: &Path) -> Result<(), RunsError> {
    if !path.exists() {
        return Ok(());
    }
    let failed = |source| RunsError::Sql { path: path.display().to_string(), source };
    check_format(room::version(path).map_err(failed)?, path)
}

fn check_format(found: i64, path: &Path) -> Result<(), RunsError> {
    match found > FORMAT {
        true => Err(RunsError::Newer { path: path.display().to_string(), found }),
        false => Ok(()),
    }
}

fn rows<T: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    refused: &mut Vec<String>,
) -> Result<Vec<(InstanceName, T)>, rusqlite::Error> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map((), |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut all = Vec::new();
    for row in rows {
        let (name, text) = row?;
        let parsed = name.parse().map_err(|error: tenement_core::name::NameError| error.to_string());
        let parsed = parsed.and_then(|key| {
            serde_json::from_str(&text).map(|value| (key, value)).map_err(|error| error.to_string())
        });
        match parsed {
            Ok(pair) => all.push(pair),
            Err(error) => {
                tracing::error!(instance = name, error, "a record of before is refused");
                refused.push(format!("{name} ({error})"));
            }
        }
    }
    Ok(all)
}

fn open(path: &Path, boot_id: &str) -> Result<Opened, RunsError> {
    let failed = |source| RunsError::Sql { path: path.display().to_string(), source };
    let opened = room::open(path, true).map_err(failed)?;
    let connection = &opened.connection;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    // The environment of an instance is not to be found in the file once it is erased.
    connection.pragma_update(None, "secure_delete", "ON").map_err(failed)?;
    connection.pragma_update(None, "synchronous", "OFF").map_err(failed)?;
    let found: i64 = connection.query_row("PRAGMA user_version", (), |row| row.get(0)).map_err(failed)?;
    check_format(found, path)?;
    if found < FORMAT {
        connection
            .execute_batch(&format!(
                "BEGIN IMMEDIATE;
                 CREATE TABLE IF NOT EXISTS boot (id TEXT PRIMARY KEY) STRICT;
                 CREATE TABLE IF NOT EXISTS lives (name TEXT PRIMARY KEY, life TEXT NOT NULL) STRICT;
                 CREATE TABLE IF NOT EXISTS runs (name TEXT PRIMARY KEY, number INTEGER NOT NULL, run TEXT NOT NULL) STRICT;
                 PRAGMA user_version = {FORMAT};
                 COMMIT;"
            ))
            .map_err(failed)?;
    }
    let of: Option<String> =
        connection.query_row("SELECT id FROM boot", (), |row| row.get(0)).optional().map_err(failed)?;
    if of.as_deref() != Some(boot_id) {
        let anew = "BEGIN IMMEDIATE; DELETE FROM lives; DELETE FROM runs; DELETE FROM boot; COMMIT;";
        connection.execute_batch(anew).map_err(failed)?;
        connection.execute("INSERT INTO boot VALUES (?1)", [boot_id]).map_err(failed)?;
    }
    Ok(opened)
}

fn remove(path: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(ending);
        #[allow(clippy::disallowed_methods, reason = "our own file, which says nothing any more")]
        let _ = std::fs::remove_file(Path::new(&file));
    }
}

impl Held {
    /// Opens it, or opens it as ever, if there is room now.
    fn usable(&mut self, path: &Path, boot_id: &str) -> Result<&mut Connection, rusqlite::Error> {
        if self.alone && room::probe(path).is_ok() {
            *self = Self::default();
        }
        if self.connection.is_none() {
            let Opened { connection, alone } = open(path, boot_id).map_err(|error| match error {
                RunsError::Sql { source, .. } => source,
                other => rusqlite::Error::ToSqlConversionFailure(Box::new(other)),
            })?;
            (self.connection, self.alone) = (Some(connection), alone);
        }
        self.connection.as_mut().ok_or(rusqlite::Error::InvalidQuery)
    }
}

impl Shared {
    fn run(&self) {
        loop {
            {
                let mut pending = lock(&self.pending);
                while pending.notes.is_empty() && !pending.stop {
                    pending = self.work.wait(pending).unwrap_or_else(PoisonError::into_inner);
                }
                if pending.failing && !pending.stop {
                    // More that is to be written is no reason to try sooner.
                    let waited = self.work.wait_timeout_while(pending, PAUSE, |pending| !pending.stop);
                    pending = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                if pending.stop {
                    drop(pending);
                    return self.flush();
                }
            }
            self.flush();
        }
    }

    /// The connection is locked before what is pending is taken: so whoever has it after us finds that written.
    fn flush(&self) {
        self.write(|_| Ok(()));
    }

    /// Writes something, after all that is pending. Whether it is written; what is pending stays so, if not.
    fn write(&self, more: impl FnOnce(&Connection) -> Result<(), rusqlite::Error>) -> bool {
        let mut held = lock(&self.held);
        let notes = std::mem::take(&mut lock(&self.pending).notes);
        if held.closed {
            return false;
        }
        let written = held.usable(&self.path, &self.boot_id).and_then(|connection| {
            let transaction = connection.transaction()?;
            for (name, note) in &notes {
                note.put(&transaction, name)?;
            }
            more(&transaction)?;
            transaction.commit()
        });
        let mut pending = lock(&self.pending);
        let failed_before = std::mem::replace(&mut pending.failing, written.is_err());
        match written {
            Ok(()) if failed_before => tracing::info!("what is running is written down again"),
            Ok(()) => {}
            Err(error) => {
                for (name, note) in notes {
                    let newer = pending.notes.remove(&name);
                    pending.notes.insert(name, note.then(newer.unwrap_or_default()));
                }
                if !failed_before {
                    tracing::warn!(%error, "what is running can't be written down now; it is tried again");
                }
                self.work.notify_one();
            }
        }
        !pending.failing
    }

    /// What was erased is not in the `-wal` either.
    fn leave_nothing_behind(&self) {
        let held = lock(&self.held);
        let Some(connection) = &held.connection else { return };
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())) {
            tracing::warn!(%error, "what was erased may still be found in the files of 'runs.db'");
        }
    }

    fn note(&self, name: &InstanceName, note: Note) {
        let mut pending = lock(&self.pending);
        let before = pending.notes.remove(name).unwrap_or_default();
        pending.notes.insert(name.clone(), before.then(note));
        drop(pending);
        self.work.notify_one();
    }
}

/// These types have nothing that JSON can't say.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl Runs for RunStore {
    fn launched(&self, name: &InstanceName, run: &Run) {
        self.shared.note(name, Note::launched(run.clone()));
        self.shared.flush();
    }

    fn changed(&self, name: &InstanceName, life: Life) {
        self.shared.note(name, Note::changed(life));
    }

    fn flush(&self) {
        self.shared.flush();
    }

    fn gone(&self, name: &InstanceName, run: RunId) {
        self.shared.note(name, Note::gone(run));
    }

    fn forget(&self, name: &InstanceName) {
        self.shared.note(name, Note::forgotten());
        self.shared.flush();
        self.shared.leave_nothing_behind();
    }
}

impl Drop for RunStore {
    fn drop(&mut self) {
        lock(&self.shared.pending).stop = true;
        self.shared.work.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl std::fmt::Debug for RunStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunStore").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
