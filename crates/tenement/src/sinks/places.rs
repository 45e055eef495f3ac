//! How far each sink has come in the log of each instance: kept on disk, and in memory as it is there.
//!
//! What a full disk does not take stays in memory, and is written with what comes next.
//!
//! What was written survives the end of the process. A power cut may take the last of it; then lines are delivered a
//! second time.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, Transaction};
use tenement_core::name::InstanceName;
use tenement_logs::ReadTo;

use super::state::State;
use crate::room::{self, Opened};

/// Rises with every change that an earlier program would read wrongly.
const FORMAT: i64 = 0;

/// Why places can't be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum PlacesError {
    /// The database failed.
    #[error("the places of the log sinks: {0}")]
    Sql(#[from] rusqlite::Error),
    /// Its file is not what it should be.
    #[error("the places of the log sinks, '{}', can't be used: {why}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why, and what helps.
        why: String,
    },
    /// A newer program has written them.
    #[error(
        "the places of the log sinks, '{}', were written by a newer tenement (format {found}, this one knows {FORMAT}): upgrade ten, or move that file away, and sinks begin as new ones do", .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// Another process has them.
    #[error("the places of the log sinks are another daemon's now")]
    HandedOver,
}

/// Whether this program knows the format of what is there.
pub(super) fn check(path: &Path) -> Result<(), PlacesError> {
    if !path.exists() {
        return Ok(());
    }
    let found = room::version(path)?;
    match found > FORMAT {
        true => Err(PlacesError::Newer { path: path.to_owned(), found }),
        false => Ok(()),
    }
}

/// The next line of each instance.
pub(super) type Kept = BTreeMap<InstanceName, u64>;

#[derive(Debug)]
pub(super) struct Places(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// None as long as there is no room to open it.
    connection: Option<Connection>,
    /// Nobody else can open it, for want of room.
    alone: bool,
    /// Another process has it now.
    handed_over: bool,
    /// By sink; one that never began is not there.
    kept: BTreeMap<String, Kept>,
    /// What of that is in the database.
    written: BTreeMap<String, Kept>,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS sinks (sink TEXT PRIMARY KEY) STRICT;
    CREATE TABLE IF NOT EXISTS places (
        sink TEXT NOT NULL,
        instance TEXT NOT NULL,
        next INTEGER NOT NULL,
        PRIMARY KEY (sink, instance)
    ) STRICT, WITHOUT ROWID;
";

impl Places {
    /// What is kept for sinks that are not among `sinks` is forgotten. On a disk without room what can be read counts, and what
    /// changes waits in memory.
    pub(super) fn open(path: &Path, sinks: BTreeSet<String>) -> Result<Self, PlacesError> {
        let (connection, alone, written) = match open(path) {
            Ok((Opened { connection, alone }, written)) => (Some(connection), alone, written),
            Err(error) if room::is_full(&error, path) => (None, false, BTreeMap::new()),
            Err(error) => return Err(error.into()),
        };
        let mut kept = written.clone();
        kept.retain(|sink, _| sinks.contains(sink));
        let path = path.to_owned();
        let mut inner = Inner { path, connection, alone, handed_over: false, kept, written };
        match inner.write() {
            Err(PlacesError::Sql(error)) if room::is_full(&error, &inner.path) => {
                tracing::error!(%error, "the disk is full: how far log sinks have come is written when there is room");
            }
            written => written?,
        }
        Ok(Self(Mutex::new(inner)))
    }

    /// From now on another process has the file: nothing is opened here that keeps it out.
    pub(super) fn hand_over(&self) {
        let mut inner = self.lock();
        inner.handed_over = true;
        if inner.alone {
            inner.connection = None;
        }
    }

    /// Lets others open it, if there was no room for that and now there is: it may be long until something is written.
    pub(super) fn recover(&self) {
        let mut inner = self.lock();
        if inner.alone {
            // If not now, then later.
            let _ = inner.settle();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a sink goes on; `None` for one that never began.
    pub(super) fn of(&self, sink: &str) -> Option<Kept> {
        self.lock().kept.get(sink).cloned()
    }

    /// Keeps how far a sink has come. `now` is asked when nobody can erase an instance in between.
    pub(super) fn keep(
        &self,
        sink: &str,
        now: impl FnOnce() -> BTreeMap<InstanceName, ReadTo>,
    ) -> Result<(), PlacesError> {
        let mut inner = self.lock();
        let now = now().into_iter().map(|(name, place)| (name, place.next)).collect();
        inner.replace(sink, now)
    }

    /// Where a sink begins that never did.
    pub(super) fn begin(&self, sink: &str, places: impl FnOnce() -> Kept) -> Result<(), PlacesError> {
        let mut inner = self.lock();
        if inner.kept.contains_key(sink) { Ok(()) } else { inner.replace(sink, places()) }
    }

    /// Forgets the places of instances that are not among `still`, or further on than there.
    pub(super) fn retain(
        &self,
        sink: &str,
        still: impl FnOnce() -> BTreeMap<InstanceName, ReadTo>,
    ) -> Result<(), PlacesError> {
        let mut inner = self.lock();
        let Some(mut kept) = inner.kept.get(sink).cloned() else { return Ok(()) };
        let still = still();
        kept.retain(|name, next| still.get(name).is_some_and(|place| *next <= place.next));
        inner.replace(sink, kept)
    }

    /// An instance was erased.
    pub(super) fn forget(&self, name: &InstanceName) -> Result<(), PlacesError> {
        let mut inner = self.lock();
        inner.kept.values_mut().for_each(|kept| {
            kept.remove(name);
        });
        inner.write()
    }

    /// Lines that a sink has not delivered, of instances that end at `ends`.
    pub(super) fn waiting(&self, state: &State, ends: &BTreeMap<InstanceName, u64>) -> u64 {
        let inner = self.lock();
        let Some(kept) = inner.kept.get(&state.key) else { return 0 };
        let mine = ends.iter().filter(|(name, _)| state.takes(name));
        mine.map(|(name, end)| end.saturating_sub(kept.get(name).copied().unwrap_or(0))).sum()
    }
}

impl Inner {
    /// Opens it, or opens it as ever, if there is room now.
    fn settle(&mut self) -> Result<(), PlacesError> {
        if self.alone && !self.handed_over && room::probe(&self.path).is_ok() {
            self.connection = None;
        }
        if self.connection.is_none() {
            if self.handed_over {
                return Err(PlacesError::HandedOver);
            }
            let (Opened { connection, alone }, written) = open(&self.path)?;
            (self.connection, self.alone, self.written) = (Some(connection), alone, written);
        }
        Ok(())
    }

    fn replace(&mut self, sink: &str, now: Kept) -> Result<(), PlacesError> {
        if self.kept.get(sink) != Some(&now) {
            self.kept.insert(sink.to_owned(), now);
        }
        self.write()
    }

    /// Writes what is different.
    fn write(&mut self) -> Result<(), PlacesError> {
        if self.kept == self.written {
            return Ok(());
        }
        self.settle()?;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let transaction = connection.transaction()?;
        for gone in self.written.keys().filter(|sink| !self.kept.contains_key(*sink)) {
            transaction.execute("DELETE FROM sinks WHERE sink = ?1", [gone])?;
            transaction.execute("DELETE FROM places WHERE sink = ?1", [gone])?;
        }
        for (sink, now) in &self.kept {
            let before = self.written.get(sink);
            if before != Some(now) {
                write(&transaction, sink, before, now)?;
            }
        }
        transaction.commit()?;
        self.written.clone_from(&self.kept);
        Ok(())
    }
}

/// Opens it, and reads what is there.
fn open(path: &Path) -> Result<(Opened, BTreeMap<String, Kept>), rusqlite::Error> {
    let opened = room::open(path, true)?;
    let connection = &opened.connection;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute_batch(SCHEMA)?;
    let kept = load(connection)?;
    Ok((opened, kept))
}

fn write(
    transaction: &Transaction<'_>,
    sink: &str,
    before: Option<&Kept>,
    now: &Kept,
) -> Result<(), rusqlite::Error> {
    transaction.prepare_cached("INSERT OR IGNORE INTO sinks (sink) VALUES (?1)")?.execute([sink])?;
    let mut put = transaction
        .prepare_cached("INSERT OR REPLACE INTO places (sink, instance, next) VALUES (?1, ?2, ?3)")?;
    for (name, next) in now {
        if before.and_then(|before| before.get(name)) != Some(next) {
            put.execute((sink, name.to_string(), i64::try_from(*next).unwrap_or(i64::MAX)))?;
        }
    }
    let mut remove = transaction.prepare_cached("DELETE FROM places WHERE sink = ?1 AND instance = ?2")?;
    for name in before.into_iter().flat_map(Kept::keys).filter(|name| !now.contains_key(*name)) {
        remove.execute((sink, name.to_string()))?;
    }
    Ok(())
}

fn load(connection: &Connection) -> Result<BTreeMap<String, Kept>, rusqlite::Error> {
    let mut sinks = connection.prepare("SELECT sink FROM sinks")?;
    let sinks = sinks.query_map((), |row| Ok((row.get(0)?, Kept::new())))?;
    let mut kept = sinks.collect::<Result<BTreeMap<String, Kept>, _>>()?;
    let mut places = connection.prepare("SELECT sink, instance, next FROM places")?;
    let mut rows = places.query(())?;
    while let Some(row) = rows.next()? {
        let (sink, instance, next): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        // What is no name is no instance's place.
        if let Ok(name) = instance.parse() {
            kept.entry(sink).or_default().insert(name, u64::try_from(next).unwrap_or(0));
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(places: &[(&str, u64)]) -> BTreeMap<InstanceName, ReadTo> {
        places.iter().map(|(name, next)| (name.parse().unwrap(), ReadTo { number: 0, next: *next })).collect()
    }

    fn kept(places: &Places, sink: &str) -> Option<Vec<(String, u64)>> {
        let kept = places.of(sink)?;
        Some(kept.into_iter().map(|(name, next)| (name.to_string(), next)).collect())
    }

    #[test]
    fn places_are_kept_until_their_sink_or_instance_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sinks.db");
        let open = |sinks: &[&str]| {
            Places::open(&path, sinks.iter().map(|&sink| sink.to_owned()).collect()).unwrap()
        };
        let places = open(&["a", "b"]);
        assert_eq!(kept(&places, "a"), None, "never begun");
        places.keep("a", || at(&[("x:1", 5), ("x:2", 0), ("x:3", 9)])).unwrap();
        places.keep("a", || at(&[("x:1", 7), ("x:2", 0)])).unwrap();
        places.keep("b", || at(&[("x:1", 1)])).unwrap();
        drop(places);
        let places = open(&["a", "b"]);
        let both = [("x:1".to_owned(), 7), ("x:2".to_owned(), 0)];
        assert_eq!(kept(&places, "a").unwrap(), both);
        places.retain("a", || at(&[("x:1", 6), ("x:2", 3)])).unwrap();
        assert_eq!(kept(&places, "a").unwrap(), both[1..], "another x:1, which is not so far yet");
        places.forget(&"x:1".parse().unwrap()).unwrap();
        drop(places);
        let places = open(&["b"]);
        assert_eq!((kept(&places, "a"), kept(&places, "b")), (None, Some(Vec::new())));
        drop(places);
        assert_eq!(kept(&open(&["a"]), "a"), None, "forgotten with its sink");
    }
}
