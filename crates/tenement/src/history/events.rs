//! What happened to instances.

use rusqlite::{Row, Transaction, named_params, params_from_iter};
use tenement_core::{
    history::Transition,
    name::{InstanceName, ServiceName},
    time::WallMillis,
};

use super::{Conditions, Found, History, HistoryError, number, signed};

/// One change of an instance's status, as it was written down. Words are those of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place among all events; grows.
    pub seq: u64,
    /// When.
    pub at: WallMillis,
    /// Whose.
    pub instance: InstanceName,
    /// The start it belongs to, in this life of the daemon.
    pub run: u64,
    /// What it was.
    pub from: String,
    /// What it became; `None` once it was forgotten.
    pub to: Option<String>,
    /// What its checks said.
    pub health: String,
    /// What brought it about.
    pub cause: String,
    /// Who asked for it, if somebody did.
    pub actor: Option<String>,
    /// Why, in words for people.
    pub reason: Option<String>,
    /// How its process ended, if it did.
    pub exit_code: Option<i32>,
    /// The signal that ended its process.
    pub signal: Option<i32>,
    /// The kernel ended its process for want of memory.
    pub oom: bool,
    /// For how long it had been what it was, in milliseconds.
    pub lasted_ms: u64,
}

/// Which events, and which page of them.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Of this service only.
    pub service: Option<ServiceName>,
    /// Of this instance only.
    pub instance: Option<InstanceName>,
    /// Of this cause only.
    pub cause: Option<String>,
    /// Not before.
    pub since: Option<WallMillis>,
    /// Not after.
    pub until: Option<WallMillis>,
    /// With a larger `seq` only; then the oldest are on the page, else the newest.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: usize,
    /// Skips so many.
    pub offset: usize,
}

pub(super) fn insert(transaction: &Transaction<'_>, event: &Transition) -> Result<(), rusqlite::Error> {
    let exit = event.exit.unwrap_or_default();
    let mut statement = transaction.prepare_cached(
        "INSERT INTO events (at, service, id, run, was, became, health, cause, actor, reason, exit_code, signal,
             oom, lasted_ms)
         VALUES (:at, :service, :id, :run, :was, :became, :health, :cause, :actor, :reason, :exit_code, :signal,
             :oom, :lasted_ms)",
    )?;
    statement.execute(named_params! {
        ":at": signed(event.at.0),
        ":service": event.instance.service.as_str(),
        ":id": event.instance.id.as_str(),
        ":run": signed(event.run.0),
        ":was": event.from.as_str(),
        ":became": event.to.map(|status| status.as_str()),
        ":health": event.health.as_str(),
        ":cause": event.cause.as_str(),
        ":actor": event.actor.as_ref().map(|actor| &actor.0),
        ":reason": event.reason,
        ":exit_code": exit.code,
        ":signal": exit.signal,
        ":oom": exit.oom,
        ":lasted_ms": signed(event.lasted_ms),
    })?;
    Ok(())
}

pub(super) fn erase(transaction: &Transaction<'_>, name: &InstanceName) -> Result<(), rusqlite::Error> {
    let sql = "DELETE FROM events WHERE service = ?1 AND id = ?2";
    transaction.execute(sql, (name.service.as_str(), name.id.as_str())).map(drop)
}

fn read(row: &Row<'_>) -> Result<Event, rusqlite::Error> {
    let (service, id): (String, String) = (row.get("service")?, row.get("id")?);
    let instance = InstanceName::new(&service, &id).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })?;
    Ok(Event {
        seq: number(row, "seq")?,
        at: WallMillis(number(row, "at")?),
        instance,
        run: number(row, "run")?,
        from: row.get("was")?,
        to: row.get("became")?,
        health: row.get("health")?,
        cause: row.get("cause")?,
        actor: row.get("actor")?,
        reason: row.get("reason")?,
        exit_code: row.get("exit_code")?,
        signal: row.get("signal")?,
        oom: row.get("oom")?,
        lasted_ms: number(row, "lasted_ms")?,
    })
}

impl EventQuery {
    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        let instance = self.instance.as_ref();
        let service = self.service.as_ref().map(|service| service.as_str().to_owned());
        conditions.and("service = ?", service);
        conditions.and("service = ?", instance.map(|name| name.service.as_str().to_owned()));
        conditions.and("id = ?", instance.map(|name| name.id.as_str().to_owned()));
        conditions.and("cause = ?", self.cause.clone());
        conditions.and("at >= ?", self.since.map(|at| signed(at.0)));
        conditions.and("at <= ?", self.until.map(|at| signed(at.0)));
        conditions.and("seq > ?", self.after.map(signed));
        conditions
    }
}

impl History {
    /// A page of events. Blocks on the disk.
    ///
    /// # Errors
    /// The database failed.
    pub fn events(&self, query: &EventQuery) -> Result<Found<Event>, HistoryError> {
        let conditions = query.conditions();
        let (filter, order) = (conditions.text(), if query.after.is_some() { "ASC" } else { "DESC" });
        let connection = self.reader();
        let total = format!("SELECT COUNT(*) FROM events {filter}");
        let total: i64 = connection
            .prepare_cached(&total)?
            .query_row(params_from_iter(&conditions.values), |row| row.get(0))?;
        let page = format!("SELECT * FROM events {filter} ORDER BY seq {order} LIMIT ? OFFSET ?");
        let mut values = conditions.values;
        values.extend([query.limit, query.offset].map(|number| signed(number as u64).into()));
        let mut statement = connection.prepare_cached(&page)?;
        let rows = statement.query_map(params_from_iter(&values), read)?;
        let mut entries = rows.collect::<Result<Vec<_>, _>>()?;
        if query.after.is_none() {
            entries.reverse();
        }
        Ok(Found { entries, total: u64::try_from(total).unwrap_or(0) })
    }
}
