//! Running processes and the lives of instances, in SQLite without `fsync(2)`: what is written outlives the daemon, for the
//! kernel has it. It is void after a reboot, as processes are.
//!
//! ```text
//!   launched, forget ──────────────────────┬──► one transaction, what is pending first
//!   changed, gone ─► pending ─► a thread ──┘
//! ```

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::{Serialize, de::DeserializeOwned};
use tenement_core::{name::InstanceName, slot::RunId, time::Millis};
use tenement_supervisor::{Life, Remembered, Run, Runs};

/// Rises with every change that an earlier program would read wrongly.
const FORMAT: i64 = 1;

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
    path: String,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    /// Nothing once it is closed.
    connection: Mutex<Option<Connection>>,
    pending: Mutex<Pending>,
    work: Condvar,
}

#[derive(Default)]
struct Pending {
    notes: BTreeMap<InstanceName, Note>,
    stop: bool,
}

/// What is to be written of one instance.
#[derive(Default)]
struct Note {
    life: Option<Life>,
    gone: Option<RunId>,
}

impl RunStore {
    /// Opens the database, makes it where it is missing, and empties it if it is of another boot. One that is damaged is
    /// made anew: it says nothing that could be proven.
    ///
    /// # Errors
    /// See [`RunsError`].
    pub fn open(path: &Path, boot_id: &str) -> Result<Self, RunsError> {
        let connection = match open(path, boot_id) {
            Err(RunsError::Sql { source, .. }) if is_damage(&source) => {
                tracing::error!(error = %source, path = %path.display(), "what was running is not known any more");
                remove(path);
                open(path, boot_id)?
            }
            opened => opened?,
        };
        let shared = Arc::new(Shared {
            connection: Mutex::new(Some(connection)),
            pending: Mutex::default(),
            work: Condvar::new(),
        });
        let worker = Arc::clone(&shared);
        let writer = std::thread::Builder::new().name("runs".into()).spawn(move || worker.run());
        let path = path.display().to_string();
        Ok(Self { path, shared, writer: Some(writer.map_err(RunsError::Thread)?) })
    }

    /// All that is remembered. What can't be read is left out, and that is logged.
    ///
    /// # Errors
    /// See [`RunsError::Sql`].
    pub fn remembered(&self) -> Result<BTreeMap<InstanceName, Remembered>, RunsError> {
        let failed = |source| RunsError::Sql { path: self.path.clone(), source };
        self.shared.flush();
        let connection = lock(&self.shared.connection);
        let mut all: BTreeMap<InstanceName, Remembered> = BTreeMap::new();
        let Some(connection) = connection.as_ref() else { return Ok(all) };
        for (name, life) in rows::<Life>(connection, "SELECT name, life FROM lives").map_err(failed)? {
            all.entry(name).or_default().life = Some(life);
        }
        for (name, run) in rows::<Run>(connection, "SELECT name, run FROM runs").map_err(failed)? {
            all.entry(name).or_default().run = Some(run);
        }
        Ok(all)
    }

    /// Forgets everything: after the orderly end nothing is running.
    pub fn clear(&self) {
        let connection = lock(&self.shared.connection);
        lock(&self.shared.pending).notes.clear();
        if let Some(connection) = connection.as_ref() {
            log(connection.execute_batch("DELETE FROM lives; DELETE FROM runs;"));
        }
    }

    /// Notes when instances were last used.
    pub fn used(&self, all: &[(InstanceName, Millis)]) {
        self.shared.write(|transaction| {
            let sql = "UPDATE lives SET life = json_set(life, '$.last_active', ?2) WHERE name = ?1";
            let mut statement = transaction.prepare_cached(sql)?;
            all.iter().try_for_each(|(name, at)| {
                statement.execute(params![name.to_string(), at.0.cast_signed()]).map(drop)
            })
        });
    }

    /// Writes what was noted, and leaves the file to whoever opens it next.
    pub fn close(&self) {
        self.shared.flush();
        *lock(&self.shared.connection) = None;
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
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    check_format(&connection, path)
}

fn check_format(connection: &Connection, path: &Path) -> Result<(), RunsError> {
    let failed = |source| RunsError::Sql { path: path.display().to_string(), source };
    let found: i64 = connection.query_row("PRAGMA user_version", (), |row| row.get(0)).map_err(failed)?;
    match found > FORMAT {
        true => Err(RunsError::Newer { path: path.display().to_string(), found }),
        false => Ok(()),
    }
}

fn rows<T: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
) -> Result<Vec<(InstanceName, T)>, rusqlite::Error> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map((), |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let parsed = rows.map(|row| {
        let (name, text) = row?;
        let parsed = name.parse().map_err(|error: tenement_core::name::NameError| error.to_string());
        let parsed = parsed.and_then(|key| {
            serde_json::from_str(&text).map(|value| (key, value)).map_err(|error| error.to_string())
        });
        Ok(parsed
            .inspect_err(|error| tracing::error!(instance = name, error, "a record of before is refused"))
            .ok())
    });
    Ok(parsed.collect::<Result<Vec<_>, rusqlite::Error>>()?.into_iter().flatten().collect())
}

fn open(path: &Path, boot_id: &str) -> Result<Connection, RunsError> {
    let failed = |source| RunsError::Sql { path: path.display().to_string(), source };
    let connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(failed)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    // The environment of an instance is not to be found in the file once it is erased.
    connection.pragma_update(None, "secure_delete", "ON").map_err(failed)?;
    connection.pragma_update(None, "synchronous", "OFF").map_err(failed)?;
    check_format(&connection, path)?;
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
    let of: Option<String> =
        connection.query_row("SELECT id FROM boot", (), |row| row.get(0)).optional().map_err(failed)?;
    if of.as_deref() != Some(boot_id) {
        let anew = "BEGIN IMMEDIATE; DELETE FROM lives; DELETE FROM runs; DELETE FROM boot; COMMIT;";
        connection.execute_batch(anew).map_err(failed)?;
        connection.execute("INSERT INTO boot VALUES (?1)", [boot_id]).map_err(failed)?;
    }
    Ok(connection)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

fn remove(path: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(ending);
        #[allow(clippy::disallowed_methods, reason = "our own file, which says nothing any more")]
        let _ = std::fs::remove_file(Path::new(&file));
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
                if pending.notes.is_empty() {
                    return;
                }
            }
            self.flush();
        }
    }

    /// The connection is locked before what is pending is taken: so whoever has it after us finds that written.
    fn flush(&self) {
        self.write(|_| Ok(()));
    }

    /// Writes something, after all that is pending.
    fn write(&self, more: impl FnOnce(&Connection) -> Result<(), rusqlite::Error>) {
        let mut connection = lock(&self.connection);
        let notes = std::mem::take(&mut lock(&self.pending).notes);
        let Some(connection) = connection.as_mut() else { return };
        let write = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            for (name, note) in &notes {
                put(&transaction, name, note)?;
            }
            more(&transaction)?;
            transaction.commit()
        };
        log(write(connection));
    }

    /// What was erased is not in the `-wal` either.
    fn leave_nothing_behind(&self) {
        if let Some(connection) = lock(&self.connection).as_ref() {
            log(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())));
        }
    }

    fn note(&self, name: &InstanceName, note: impl FnOnce(&mut Note)) {
        let mut pending = lock(&self.pending);
        note(pending.notes.entry(name.clone()).or_default());
        drop(pending);
        self.work.notify_one();
    }
}

fn put(connection: &Connection, name: &InstanceName, note: &Note) -> Result<(), rusqlite::Error> {
    let name = name.to_string();
    if let Some(life) = &note.life {
        let sql = "INSERT INTO lives VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET life = excluded.life";
        connection.prepare_cached(sql)?.execute(params![name, text(life)])?;
    }
    if let Some(run) = note.gone {
        let sql = "DELETE FROM runs WHERE name = ?1 AND number <= ?2";
        connection.prepare_cached(sql)?.execute(params![name, run.0.cast_signed()])?;
    }
    Ok(())
}

/// These types have nothing that JSON can't say.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl Runs for RunStore {
    fn launched(&self, name: &InstanceName, run: &Run) {
        self.shared.write(|transaction| {
            let sql = "INSERT INTO runs VALUES (?1, ?2, ?3)
                       ON CONFLICT (name) DO UPDATE SET number = excluded.number, run = excluded.run";
            let number = run.handle.run.cast_signed();
            transaction.prepare_cached(sql)?.execute(params![name.to_string(), number, text(run)]).map(drop)
        });
    }

    fn changed(&self, name: &InstanceName, life: Life) {
        self.shared.note(name, |note| note.life = Some(life));
    }

    fn flush(&self) {
        self.shared.flush();
    }

    fn gone(&self, name: &InstanceName, run: RunId) {
        self.shared.note(name, |note| note.gone = Some(run));
    }

    fn forget(&self, name: &InstanceName) {
        self.shared.write(|transaction| {
            let name = name.to_string();
            let all = ["DELETE FROM lives WHERE name = ?1", "DELETE FROM runs WHERE name = ?1"];
            all.into_iter().try_for_each(|sql| transaction.execute(sql, [&name]).map(drop))
        });
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

/// The daemon goes on without: only the next one would miss it.
fn log(written: Result<(), rusqlite::Error>) {
    if let Err(error) = written {
        tracing::warn!(%error, "what is running can't be written down: a daemon that takes over would not know it");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
