//! Records of instances.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use tenement_core::{name::InstanceName, time::WallMillis};
use tenement_supervisor::{Desired, Leaving, Record, Registry, StorageError};

use super::{Binding, Store, StoreError};

const ALL: &str = "SELECT service, id, env, desired, created_at FROM instances ORDER BY service, id";

impl Store {
    /// Every record, by service then id.
    ///
    /// # Errors
    /// The database failed, or a row is damaged.
    pub fn records(&self) -> Result<Vec<Record>, StoreError> {
        self.db.read(|db| {
            let mut statement = db.prepare(ALL)?;
            let mut rows = statement.query(())?;
            let mut records = Vec::new();
            while let Some(row) = rows.next()? {
                records.push(record(row)?);
            }
            Ok(records)
        })
    }

    /// The environment that an instance was spawned with; nothing of one that has no record.
    ///
    /// # Errors
    /// The database failed, or the row is damaged.
    pub fn environment(&self, name: &InstanceName) -> Result<BTreeMap<String, String>, StoreError> {
        let sql =
            "SELECT service, id, env, desired, created_at FROM instances WHERE service = ?1 AND id = ?2";
        self.db.read(|db| {
            let mut statement = db.prepare(sql)?;
            let mut rows = statement.query(key(name))?;
            Ok(rows.next()?.map(record).transpose()?.map(|record| record.env).unwrap_or_default())
        })
    }

    /// Instances that were about to be forgotten when the daemon ended, and what was to be erased of them.
    ///
    /// # Errors
    /// The database failed, or a row is damaged.
    pub fn leaving(&self) -> Result<Vec<Leaving>, StoreError> {
        self.db.read(|db| {
            let mut statement =
                db.prepare("SELECT service, id, data, logs FROM leaving ORDER BY service, id")?;
            let mut rows = statement.query(())?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                all.push(leaving(row)?);
            }
            Ok(all)
        })
    }
}

/// Whether every row says what can be; those of an older schema too.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    let mut statement = connection.prepare(ALL)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        record(row)?;
    }
    Ok(())
}

fn name(row: &Row<'_>) -> Result<InstanceName, StoreError> {
    let (service, id): (String, String) = (row.get("service")?, row.get("id")?);
    InstanceName::new(&service, &id)
        .map_err(|error| StoreError::Damaged(format!("instance {service}:{id}: {error}")))
}

pub(super) fn record(row: &Row<'_>) -> Result<Record, StoreError> {
    let name = name(row)?;
    let (env, desired): (String, String) = (row.get("env")?, row.get("desired")?);
    let env = serde_json::from_str(&env)
        .map_err(|error| StoreError::Damaged(format!("instance {name}: {error}")))?;
    Ok(Record {
        name,
        env,
        desired: if desired == "stopped" { Desired::Stopped } else { Desired::Up },
        created_at: WallMillis(u64::try_from(row.get::<_, i64>("created_at")?).unwrap_or(0)),
    })
}

pub(super) fn leaving(row: &Row<'_>) -> Result<Leaving, StoreError> {
    Ok(Leaving { name: name(row)?, data: row.get("data")?, logs: row.get("logs")? })
}

/// What a row of an instance is found by.
fn key(name: &InstanceName) -> (&str, &str) {
    (name.service.as_str(), name.id.as_str())
}

/// Who is saved is not leaving any more.
fn put(transaction: &Transaction<'_>, record: &Record) -> Result<(), StoreError> {
    let desired = match record.desired {
        Desired::Up => "up",
        Desired::Stopped => "stopped",
    };
    let env = serde_json::to_string(&record.env).map_err(|error| StoreError::Damaged(error.to_string()))?;
    transaction.execute("DELETE FROM leaving WHERE service = ?1 AND id = ?2", key(&record.name))?;
    transaction.execute(
        "INSERT INTO instances (service, id, env, desired, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (service, id) DO UPDATE SET env = excluded.env, desired = excluded.desired",
        params![
            record.name.service.as_str(),
            record.name.id.as_str(),
            env,
            desired,
            i64::try_from(record.created_at.0).unwrap_or(i64::MAX)
        ],
    )?;
    Ok(())
}

impl Registry for Store {
    fn save(&self, record: &Record) -> Result<(), StorageError> {
        Ok(self.db.write(|transaction| put(transaction, record))?)
    }

    fn save_all(&self, records: &[Record]) -> Result<(), StorageError> {
        let put_all =
            |transaction: &Transaction<'_>| records.iter().try_for_each(|record| put(transaction, record));
        Ok(self.db.write(put_all)?)
    }

    fn leave(&self, leaving: &Leaving) -> Result<(), StorageError> {
        let (service, id) = key(&leaving.name);
        let leave = |transaction: &Transaction<'_>| {
            let sql = "INSERT OR REPLACE INTO leaving (service, id, data, logs) VALUES (?1, ?2, ?3, ?4)";
            transaction.execute(sql, (service, id, leaving.data, leaving.logs))?;
            let sql = "UPDATE instances SET desired = 'stopped' WHERE service = ?1 AND id = ?2";
            transaction.execute(sql, (service, id))?;
            Ok(())
        };
        Ok(self.db.write(leave)?)
    }

    fn forget(&self, name: &InstanceName) -> Result<(), StorageError> {
        let of = key(name);
        let _changing = self.changing_tokens();
        let logs_too = self.db.write(|transaction| {
            let sql = "SELECT logs FROM leaving WHERE service = ?1 AND id = ?2";
            let logs_too = transaction.query_row(sql, of, |row| row.get(0)).optional()?.unwrap_or(false);
            if logs_too {
                // The next one of this name may be somebody else's.
                transaction.execute("DELETE FROM tokens WHERE service = ?1 AND instance = ?2", of)?;
            }
            transaction.execute("DELETE FROM instances WHERE service = ?1 AND id = ?2", of)?;
            transaction.execute("DELETE FROM leaving WHERE service = ?1 AND id = ?2", of)?;
            Ok(logs_too)
        })?;
        if logs_too {
            self.valid.retain(|_, grant| grant.binding != Binding::Instance(name.clone()));
        }
        Ok(())
    }
}
