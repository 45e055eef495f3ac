//! Records of instances.

use rusqlite::{Connection, params};
use tenement_core::{name::InstanceName, time::WallMillis};
use tenement_supervisor::{Desired, Record, Registry};

use super::{Store, StoreError};

impl Store {
    /// Every record, by service then id.
    ///
    /// # Errors
    /// The database failed, or a row is damaged.
    pub fn records(&self) -> Result<Vec<Record>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare("SELECT service, id, env, desired, created_at FROM instances ORDER BY service, id")?;
        let rows = statement.query_map((), |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, i64>(4)?,
            ))
        })?;
        rows.map(|row| {
            let (service, id, env, desired, created_at) = row?;
            let damaged = |why: String| StoreError::Damaged(format!("instance {service}:{id}: {why}"));
            Ok(Record {
                name: InstanceName::new(&service, &id).map_err(|error| damaged(error.to_string()))?,
                env: serde_json::from_str(&env).map_err(|error| damaged(error.to_string()))?,
                desired: if desired == "stopped" { Desired::Stopped } else { Desired::Up },
                created_at: WallMillis(u64::try_from(created_at).unwrap_or(0)),
            })
        })
        .collect()
    }
}

fn put(connection: &Connection, record: &Record) -> Result<(), StoreError> {
    let desired = match record.desired {
        Desired::Up => "up",
        Desired::Stopped => "stopped",
    };
    let env = serde_json::to_string(&record.env).map_err(|error| StoreError::Damaged(error.to_string()))?;
    connection.execute(
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
    fn save(&self, record: &Record) -> Result<(), String> {
        put(&self.lock(), record).map_err(|error| error.to_string())
    }

    fn save_all(&self, records: &[Record]) -> Result<(), String> {
        let save = || -> Result<(), StoreError> {
            let mut connection = self.lock();
            let transaction = connection.transaction()?;
            records.iter().try_for_each(|record| put(&transaction, record))?;
            Ok(transaction.commit()?)
        };
        save().map_err(|error| error.to_string())
    }

    fn forget(&self, name: &InstanceName) -> Result<(), String> {
        let sql = "DELETE FROM instances WHERE service = ?1 AND id = ?2";
        let parameters = (name.service.as_str(), name.id.as_str());
        self.lock().execute(sql, parameters).map(drop).map_err(|error| error.to_string())
    }
}
