//! What was lost of the daemon's own state, as long as something is left of it to look into.

use std::{
    path::PathBuf,
    sync::{MutexGuard, PoisonError},
};

use rusqlite::OptionalExtension;
use tenement_core::time::WallMillis;

use super::{Store, StoreError};
use crate::damage::Loss;

impl Store {
    /// What was found to be lost when it was opened.
    #[must_use]
    pub fn found(&self) -> Option<&Loss> {
        self.found.as_ref()
    }

    /// Writes down a loss; what can't be written now is told all the same, and written when it can.
    pub fn note(&self, loss: Loss) {
        self.unwritten().push(loss);
        self.note_unwritten();
    }

    pub(super) fn note_unwritten(&self) {
        let mut unwritten = self.unwritten();
        let done = unwritten.iter().position(|loss| {
            let failed = self.write_loss(loss).err();
            failed.inspect(|error| tracing::error!(%error, "not written down yet: {}", loss.what)).is_some()
        });
        let done = done.unwrap_or(unwritten.len());
        unwritten.drain(..done);
    }

    fn unwritten(&self) -> MutexGuard<'_, Vec<Loss>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a file of this name was made beside the database at some time.
    ///
    /// # Errors
    /// The database failed.
    pub fn was_made(&self, file: &str) -> Result<bool, StoreError> {
        self.db.read(|db| {
            let found = db.query_row("SELECT 1 FROM made WHERE file = ?1", [file], |_| Ok(()));
            Ok(found.optional()?.is_some())
        })
    }

    /// Remembers that a file is there.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_made(&self, file: &str) -> Result<(), StoreError> {
        if self.was_made(file)? {
            return Ok(());
        }
        self.db.write(|transaction| {
            Ok(transaction.execute("INSERT OR IGNORE INTO made (file) VALUES (?1)", [file]).map(drop)?)
        })
    }

    fn write_loss(&self, loss: &Loss) -> Result<(), StoreError> {
        let at = i64::try_from(loss.at.0).unwrap_or(i64::MAX);
        let file = loss.file.as_ref().map(|file| file.to_string_lossy().into_owned());
        let sql = "INSERT INTO losses (at, what, file) VALUES (?1, ?2, ?3)";
        self.db.write(|transaction| Ok(transaction.execute(sql, (at, &loss.what, file)).map(drop)?))
    }

    /// Losses of which a file is left, and those since `since`; the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub fn losses(&self, since: WallMillis) -> Result<Vec<Loss>, StoreError> {
        let mut losses = self.db.read(|db| {
            let mut statement = db.prepare("SELECT at, what, file FROM losses ORDER BY at")?;
            let rows = statement.query_map((), |row| {
                let (at, file): (i64, Option<String>) = (row.get(0)?, row.get(2)?);
                let at = WallMillis(u64::try_from(at).unwrap_or(0));
                Ok(Loss { at, what: row.get(1)?, file: file.map(PathBuf::from) })
            })?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        })?;
        losses.extend(self.unwritten().iter().cloned());
        losses.retain(|loss| match &loss.file {
            Some(file) => file.exists(),
            None => loss.at >= since,
        });
        Ok(losses)
    }
}
