//! Who changed what.

use rusqlite::{Row, Transaction, named_params};
use tenement_core::time::WallMillis;

use super::{
    History, HistoryError, number,
    page::{Conditions, Found, Select},
    signed,
};

/// One request that changed something, or would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When it was answered.
    pub at: WallMillis,
    /// `local` or a token's id.
    pub actor: String,
    /// The same, or of who came by a link the token that let them in.
    pub root: Option<String>,
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
        "INSERT INTO changes (at, actor, root, token_name, source, action, method, path, instance, token, status)
         VALUES (:at, :actor, :root, :token_name, :source, :action, :method, :path, :instance, :token, :status)",
    )?;
    statement.execute(named_params! {
        ":at": signed(change.at.0),
        ":actor": change.actor,
        ":root": change.root,
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
            // Missing in a file that can only be read, on a full disk.
            root: row.get("root").unwrap_or(None),
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
        let select = Select {
            rows: "SELECT * FROM changes",
            count: "SELECT COUNT(*) FROM changes",
            conditions,
            oldest: false,
            limit: query.limit,
            offset: query.offset,
        };
        self.read(|connection| select.find(connection, read))
    }
}
