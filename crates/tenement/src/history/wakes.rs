//! When instances were last woken, as far as it was written down.

use std::collections::HashMap;

use rusqlite::{Connection, Row};
use tenement_core::{
    name::InstanceName,
    time::WallMillis,
    view::{Status, Woken},
};

use super::{History, HistoryError, number};

impl History {
    /// The last wake of each instance that ended well, of those events that are kept. Looks through all of them, and blocks
    /// on the disk.
    ///
    /// # Errors
    /// The database failed.
    pub fn wakes(&self) -> Result<HashMap<InstanceName, Woken>, HistoryError> {
        self.read(wakes_in)
    }
}

fn wakes_in(connection: &Connection) -> Result<HashMap<InstanceName, Woken>, rusqlite::Error> {
    let sql = format!(
        "SELECT service, id, at, became = '{running}' AS up, cause = 'request' AS asked, lasted_ms FROM events
         WHERE became IN ('{starting}', '{running}') ORDER BY seq",
        running = Status::Running,
        starting = Status::Starting,
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let (mut wakes, mut begun) = (HashMap::new(), HashMap::new());
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let Some(name) = name(row)? else { continue };
        let at = WallMillis(number(row, "at")?);
        if !row.get::<_, bool>("up")? {
            begun.insert(name, row.get::<_, bool>("asked")?.then_some(at));
        } else if let Some(at) = begun.remove(&name).flatten() {
            wakes.insert(name, Woken { at, took_ms: number(row, "lasted_ms")? });
        }
    }
    Ok(wakes)
}

fn name(row: &Row<'_>) -> Result<Option<InstanceName>, rusqlite::Error> {
    let (service, id) = (row.get_ref("service")?.as_str()?, row.get_ref("id")?.as_str()?);
    Ok(InstanceName::new(service, id).ok())
}
