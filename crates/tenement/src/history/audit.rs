//! Who changed what.

use rusqlite::{Row, Transaction, named_params, params_from_iter};
use tenement_core::time::WallMillis;

use super::{Conditions, Found, History, HistoryError, number, signed};

/// One request that changed something, or would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When it was answered.
    pub at: WallMillis,
    /// `local` or a token's id.
    pub actor: String,
    /// What the token's owner calls it.
    pub token_name: Option<String>,
    /// The address it came from; none over the local socket.
    pub source: Option<String>,
    /// The operation's id in the API's description.
    pub action: String,
    /// `POST`.
    pub method: String,
    /// With the query, which says what was asked for.
    pub path: String,
    /// The instance it was about.
    pub instance: Option<String>,
    /// The id of the token it was about.
    pub token: Option<String>,
    /// The status of the answer.
    pub status: u16,
}

/// A change as it was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its place among all changes; grows.
    pub seq: u64,
    /// What changed.
    pub change: Change,
}

/// Which changes, and which page of them: the newest.
#[derive(Clone, Debug, Default)]
pub struct ChangeQuery {
    /// By this actor only.
    pub actor: Option<String>,
    /// Of this instance only.
    pub instance: Option<String>,
    /// Of this kind only.
    pub action: Option<String>,
    /// Not before.
    pub since: Option<WallMillis>,
    /// Not after.
    pub until: Option<WallMillis>,
    /// At most so many.
    pub limit: usize,
    /// Skips so many of the newest.
    pub offset: usize,
}

pub(super) fn insert(transaction: &Transaction<'_>, change: &Change) -> Result<(), rusqlite::Error> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO changes (at, actor, token_name, source, action, method, path, instance, token, status)
         VALUES (:at, :actor, :token_name, :source, :action, :method, :path, :instance, :token, :status)",
    )?;
    statement.execute(named_params! {
        ":at": signed(change.at.0),
        ":actor": change.actor,
        ":token_name": change.token_name,
        ":source": change.source,
        ":action": change.action,
        ":method": change.method,
        ":path": change.path,
        ":instance": change.instance,
        ":token": change.token,
        ":status": change.status,
    })?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Changed, rusqlite::Error> {
    Ok(Changed {
        seq: number(row, "seq")?,
        change: Change {
            at: WallMillis(number(row, "at")?),
            actor: row.get("actor")?,
            token_name: row.get("token_name")?,
            source: row.get("source")?,
            action: row.get("action")?,
            method: row.get("method")?,
            path: row.get("path")?,
            instance: row.get("instance")?,
            token: row.get("token")?,
            status: row.get("status")?,
        },
    })
}

impl History {
    /// A page of changes, the newest, in the order they were made. Blocks on the disk.
    ///
    /// # Errors
    /// The database failed.
    pub fn changes_made(&self, query: &ChangeQuery) -> Result<Found<Changed>, HistoryError> {
        let mut conditions = Conditions::default();
        conditions.and("actor = ?", query.actor.clone());
        conditions.and("instance = ?", query.instance.clone());
        conditions.and("action = ?", query.action.clone());
        conditions.and("at >= ?", query.since.map(|at| signed(at.0)));
        conditions.and("at <= ?", query.until.map(|at| signed(at.0)));
        let filter = conditions.text();
        let page = format!("SELECT * FROM changes {filter} ORDER BY seq DESC LIMIT ? OFFSET ?");
        let (total, mut entries) = self.read(|connection| {
            let total: i64 = connection
                .prepare_cached(&format!("SELECT COUNT(*) FROM changes {filter}"))?
                .query_row(params_from_iter(&conditions.values), |row| row.get(0))?;
            let mut values = conditions.values;
            values.extend([query.limit, query.offset].map(|number| signed(number as u64).into()));
            let mut statement = connection.prepare_cached(&page)?;
            let rows = statement.query_map(params_from_iter(&values), read)?;
            Ok((total, rows.collect::<Result<Vec<_>, _>>()?))
        })?;
        entries.reverse();
        Ok(Found { entries, total: u64::try_from(total).unwrap_or(0) })
    }
}
