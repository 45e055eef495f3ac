//! What happened to instances.

use rusqlite::{Row, Transaction, named_params};
use tenement_core::{
    history::{Cause, Transition},
    name::{InstanceName, ServiceName},
    time::WallMillis,
    view::Status,
};
use tenement_logs::{LastLines, LogStore};

use super::{
    History, HistoryError, number,
    page::{Conditions, Found, Select},
    signed,
};

/// The last lines that go with an end, and their bytes in all.
const LINES: usize = 50;
const LINES_BYTES: usize = 16 << 10;
/// Ends of an instance whose lines are kept.
const ENDS_OF_EACH: usize = 20;
/// Bytes of lines on one page, about; the newest have them.
const PAGE_BYTES: usize = 1 << 20;

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
    /// The place in its log after the last line it printed, when it ended without being asked to.
    pub log_end: Option<u64>,
    /// Those lines, while they are kept and fit.
    pub last_lines: Option<Vec<String>>,
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

/// Whether it is told that a run ended and nobody wanted it to.
pub(super) fn is_unasked_end(event: &Transition) -> bool {
    let unasked = matches!(event.cause, Cause::Exit | Cause::StartFailed | Cause::Unhealthy);
    unasked && matches!(event.from, Status::Starting | Status::Running | Status::Restarting)
}

/// What a run that ended printed last.
pub(super) fn last_lines(event: &Transition, logs: &LogStore) -> Option<LastLines> {
    logs.last_words(&event.instance, event.run, LINES, LINES_BYTES)
}

fn insert_lines(
    transaction: &Transaction<'_>,
    event: i64,
    name: &InstanceName,
    last: &LastLines,
) -> Result<(), rusqlite::Error> {
    let (service, id) = (name.service.as_str(), name.id.as_str());
    let lines = serde_json::to_string(&last.lines).unwrap_or_default();
    let sql = "INSERT INTO last_lines (event, of_service, of_id, place, lines) VALUES (?1, ?2, ?3, ?4, ?5)";
    transaction.prepare_cached(sql)?.execute((event, service, id, signed(last.end), lines))?;
    let sql = "DELETE FROM last_lines WHERE of_service = ?1 AND of_id = ?2 AND event <= (SELECT event FROM last_lines
                   WHERE of_service = ?1 AND of_id = ?2 ORDER BY event DESC LIMIT 1 OFFSET ?3)";
    transaction.prepare_cached(sql)?.execute((service, id, signed(ENDS_OF_EACH as u64))).map(drop)
}

pub(super) fn insert(
    transaction: &Transaction<'_>,
    event: &Transition,
    last: Option<&LastLines>,
) -> Result<(), rusqlite::Error> {
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
    last.map_or(Ok(()), |last| {
        insert_lines(transaction, transaction.last_insert_rowid(), &event.instance, last)
    })
}

pub(super) fn erase(transaction: &Transaction<'_>, name: &InstanceName) -> Result<(), rusqlite::Error> {
    let of = (name.service.as_str(), name.id.as_str());
    transaction.execute("DELETE FROM last_lines WHERE of_service = ?1 AND of_id = ?2", of)?;
    transaction.execute("DELETE FROM events WHERE service = ?1 AND id = ?2", of).map(drop)
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
        log_end: row.get::<_, Option<i64>>("place")?.and_then(|place| u64::try_from(place).ok()),
        last_lines: row
            .get::<_, Option<String>>("lines")?
            .and_then(|lines| serde_json::from_str(&lines).ok()),
    })
}

impl EventQuery {
    /// Whether it may ask for what happens to an instance.
    pub(super) fn covers(&self, name: &InstanceName) -> bool {
        self.service.as_ref().is_none_or(|service| *service == name.service)
            && self.instance.as_ref().is_none_or(|instance| instance == name)
    }

    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        let instance = self.instance.as_ref();
        let service = self.service.as_ref().map(|service| service.as_str().to_owned());
        // The index has all of a service's, those that came before too, and not in order: a `+` keeps it out where what
        // came after is read.
        let in_order = self.after.is_some() && instance.is_none();
        conditions.and(if in_order { "+service = ?" } else { "service = ?" }, service);
        conditions.and("service = ?", instance.map(|name| name.service.as_str().to_owned()));
        conditions.and("id = ?", instance.map(|name| name.id.as_str().to_owned()));
        conditions.and("cause = ?", self.cause.clone());
        conditions.and("at >= ?", self.since.map(|at| signed(at.0)));
        conditions.and("at <= ?", self.until.map(|at| signed(at.0)));
        conditions.and("seq > ?", self.after.map(signed));
        conditions
    }

    pub(super) fn select(&self) -> Select {
        Select {
            rows: "SELECT events.*, place, lines FROM events LEFT JOIN last_lines ON event = seq",
            count: "SELECT COUNT(*) FROM events",
            conditions: self.conditions(),
            oldest: self.after.is_some(),
            limit: self.limit,
            offset: self.offset,
        }
    }
}

impl History {
    /// A page of events. Blocks on the disk.
    ///
    /// # Errors
    /// The database failed.
    pub fn events(&self, query: &EventQuery) -> Result<Found<Event>, HistoryError> {
        let mut found = self.read(|connection| query.select().find(connection, read))?;
        bound(&mut found.entries);
        Ok(found)
    }

    /// The same without their number, for who follows and asks for the next ones at every change. Blocks on the disk.
    ///
    /// # Errors
    /// The database failed.
    pub fn next_events(&self, query: &EventQuery) -> Result<Vec<Event>, HistoryError> {
        let mut entries = self.read(|connection| query.select().page(connection, read))?;
        bound(&mut entries);
        Ok(entries)
    }
}

/// Leaves out the lines of older ones when there are too many.
fn bound(entries: &mut [Event]) {
    let mut bytes = 0;
    for event in entries.iter_mut().rev() {
        bytes += event.last_lines.iter().flatten().map(String::len).sum::<usize>();
        if bytes > PAGE_BYTES {
            event.last_lines = None;
        }
    }
}
