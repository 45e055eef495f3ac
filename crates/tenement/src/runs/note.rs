//! What is to be written of one instance: the last of everything, so that it stays small however long it waits.

use rusqlite::{Connection, params};
use tenement_core::{name::InstanceName, slot::RunId};
use tenement_supervisor::{Life, Remembered, Run};

use super::text;

/// In the order in which it is written.
#[derive(Debug, Default)]
pub(super) struct Note {
    /// All from before is forgotten.
    forgotten: bool,
    /// The processes of this run and of those before it.
    gone: Option<RunId>,
    life: Option<Life>,
    /// A process of a later run than those that are gone.
    run: Option<Box<Run>>,
}

impl Note {
    pub(super) fn launched(run: Run) -> Self {
        Self { run: Some(Box::new(run)), ..Self::default() }
    }

    pub(super) fn changed(life: Life) -> Self {
        Self { life: Some(life), ..Self::default() }
    }

    pub(super) fn gone(run: RunId) -> Self {
        Self { gone: Some(run), ..Self::default() }
    }

    pub(super) fn forgotten() -> Self {
        Self { forgotten: true, ..Self::default() }
    }

    /// What comes of it when something is noted later.
    pub(super) fn then(self, later: Self) -> Self {
        if later.forgotten {
            return later;
        }
        let run = self.run.filter(|run| later.gone.is_none_or(|gone| run.handle.run > gone.0));
        Self {
            forgotten: self.forgotten,
            gone: self.gone.max(later.gone),
            life: later.life.or(self.life),
            run: later.run.or(run),
        }
    }

    /// What is remembered once it is written.
    pub(super) fn over(&self, remembered: &mut Remembered) {
        if self.forgotten {
            *remembered = Remembered::default();
        }
        if remembered.run.as_ref().is_some_and(|run| self.gone.is_some_and(|gone| run.handle.run <= gone.0)) {
            remembered.run = None;
        }
        if let Some(life) = &self.life {
            remembered.life = Some(life.clone());
        }
        if let Some(run) = &self.run {
            remembered.run = Some((**run).clone());
        }
    }

    pub(super) fn put(&self, connection: &Connection, name: &InstanceName) -> Result<(), rusqlite::Error> {
        let name = name.to_string();
        if self.forgotten {
            for sql in ["DELETE FROM lives WHERE name = ?1", "DELETE FROM runs WHERE name = ?1"] {
                connection.execute(sql, [&name])?;
            }
        }
        if let Some(run) = self.gone {
            let sql = "DELETE FROM runs WHERE name = ?1 AND number <= ?2";
            connection.prepare_cached(sql)?.execute(params![name, run.0.cast_signed()])?;
        }
        if let Some(life) = &self.life {
            let sql =
                "INSERT INTO lives VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET life = excluded.life";
            connection.prepare_cached(sql)?.execute(params![name, text(life)])?;
        }
        if let Some(run) = &self.run {
            let sql = "INSERT INTO runs VALUES (?1, ?2, ?3)
                       ON CONFLICT (name) DO UPDATE SET number = excluded.number, run = excluded.run";
            let number = run.handle.run.cast_signed();
            connection.prepare_cached(sql)?.execute(params![name, number, text(run)])?;
        }
        Ok(())
    }
}
