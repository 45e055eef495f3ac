//! One instance in the live table.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use tenement_core::{
    name::InstanceName,
    time::{Millis, WallMillis},
    view::{InstanceView, Status, Woken},
};
use utoipa::ToSchema;

use super::pace::{Pace, PerSecond, Totals};
use crate::api::{Caller, reason, words};

/// What a reader is told of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = OverviewRow)]
pub(super) struct Row {
    #[schema(value_type = String, example = "api:user123")]
    instance: InstanceName,
    service: String,
    id: String,
    #[schema(value_type = words::Status)]
    status: &'static str,
    #[schema(value_type = words::Health)]
    health: &'static str,
    /// Why it is in this status, where there is something to explain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// When its status began, in milliseconds since 1970; of one that runs: when it became ready.
    since: u64,
    /// MiB of its whole process tree, measured every 10 s. Null where nothing runs, or nothing was measured yet.
    #[schema(required)]
    memory_mb: Option<f64>,
    /// Of one core, over the 10 s before that.
    #[schema(required)]
    cpu_percent: Option<f64>,
    /// Answered since it became known, or the daemon started.
    requests: u64,
    /// Those of 500 and above, the proxy's own included.
    errors: u64,
    /// Requests per second over the last 10 s; 0 while it sleeps.
    rps: f64,
    /// Errors per second over the last 10 s; 0 while it sleeps.
    eps: f64,
    /// Since it became known: by hand, after a crash, by a failed check.
    restarts: u64,
    /// When a request last woke it, in milliseconds since 1970; null: never, as far as is known.
    #[schema(required)]
    last_wake: Option<u64>,
    /// How long that request waited until it was let in.
    #[schema(required)]
    wake_ms: Option<u64>,
    /// The id of its first process, while there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pid: Option<u32>,
    /// Requests per second of the last 30 times 10 s, the oldest first; in snapshots only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    spark: Option<Vec<f64>>,
}

impl Row {
    /// As `caller` may see it.
    pub(super) fn seen_by(self, caller: &Caller) -> Self {
        Self { reason: self.reason.map(|reason| reason::seen_by(caller, reason)), ..self }
    }
}

/// What is measured of an instance every 10 s.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Measured {
    pub(super) memory_mb: Option<f64>,
    pub(super) cpu_percent: Option<f64>,
}

/// A row of the board, and what it comes from.
#[derive(Debug)]
pub(super) struct Line {
    row: Row,
    /// That as JSON, made once for all readers.
    text: Box<RawValue>,
    status: Status,
    /// When its status began.
    since: Millis,
    created_at: WallMillis,
    pace: Pace,
}

/// What the clocks say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) clock: Millis,
    pub(super) wall: WallMillis,
}

impl Now {
    /// By the wall clock, when something was.
    fn wall_of(self, at: Millis) -> u64 {
        self.wall.0.saturating_sub(self.clock.0.saturating_sub(at.0))
    }
}

impl Line {
    /// Of an instance as it is now; `before`: the one it takes the place of. `known`: when it was last woken before the
    /// daemon started.
    pub(super) fn new(now: Now, view: &InstanceView, before: Option<&Self>, known: Option<Woken>) -> Self {
        let before = before.filter(|before| before.created_at == view.created_at);
        let last = before.map(|before| &before.row);
        let woken = view.woken.or(known.filter(|woken| woken.at >= view.created_at));
        // Measured anew, a moment of the wall clock would be another one each time.
        let since = match before.filter(|before| before.since == view.since) {
            Some(before) => before.row.since,
            None => now.wall_of(view.since),
        };
        let asleep = view.status == Status::Sleeping;
        let row = Row {
            instance: view.name.clone(),
            service: view.name.service.to_string(),
            id: view.name.id.to_string(),
            status: view.status.as_str(),
            health: view.health.as_str(),
            reason: view.reason.clone(),
            since,
            memory_mb: last.and_then(|last| last.memory_mb).filter(|_| view.pid.is_some()),
            cpu_percent: last.and_then(|last| last.cpu_percent).filter(|_| view.pid.is_some()),
            requests: last.map_or(0, |last| last.requests),
            errors: last.map_or(0, |last| last.errors),
            rps: last.filter(|_| !asleep).map_or(0.0, |last| last.rps),
            eps: last.filter(|_| !asleep).map_or(0.0, |last| last.eps),
            restarts: view.restart_count,
            last_wake: woken.map(|woken| woken.at.0),
            wake_ms: woken.map(|woken| woken.took_ms),
            pid: view.pid,
            spark: None,
        };
        let pace = before.map(|before| before.pace.clone()).unwrap_or_default();
        Self {
            text: text(&row),
            row,
            status: view.status,
            since: view.since,
            created_at: view.created_at,
            pace,
        }
    }

    /// The same with the pace that was measured before anybody followed.
    pub(super) fn at_pace(mut self, pace: PerSecond) -> Self {
        self.pace = Pace::beginning(pace);
        self
    }

    /// Puts figures in; whether that makes a difference to who reads it.
    pub(super) fn figures(&mut self, now: Millis, totals: Totals, measured: Measured) -> bool {
        self.pace.note(now, totals);
        let (per_second, row) = (self.pace.per_second(), &mut self.row);
        let Measured { memory_mb, cpu_percent } =
            if row.pid.is_some() { measured } else { Measured::default() };
        let new = (totals.requests, totals.errors, memory_mb, cpu_percent);
        // It had its last request before it fell asleep; one that is stopped has those that are refused.
        let paces = match self.status {
            Status::Sleeping => (0.0, 0.0),
            _ => (tenth(per_second.requests), tenth(per_second.errors)),
        };
        if new == (row.requests, row.errors, row.memory_mb, row.cpu_percent) && paces == (row.rps, row.eps) {
            return false;
        }
        (row.requests, row.errors, row.memory_mb, row.cpu_percent) = new;
        (row.rps, row.eps) = paces;
        self.text = text(row);
        true
    }

    /// As `caller` may see it, as JSON.
    pub(super) fn seen_by(&self, caller: &Caller) -> Cow<'_, RawValue> {
        match &self.row.reason {
            Some(_) if caller.is_bound() => Cow::Owned(text(&self.row.clone().seen_by(caller))),
            _ => Cow::Borrowed(&self.text),
        }
    }

    /// With what it had to do over the last minutes.
    pub(super) fn with_spark(&self, spark: Vec<f64>) -> Row {
        Row { spark: Some(spark), ..self.row.clone() }
    }

    /// When its status began. By the clock that nobody sets: what was measured before that is not of this life.
    pub(super) fn since(&self) -> Millis {
        self.since
    }

    pub(super) fn status(&self) -> Status {
        self.status
    }

    pub(super) fn memory_mb(&self) -> f64 {
        self.row.memory_mb.unwrap_or(0.0)
    }

    pub(super) fn per_second(&self) -> PerSecond {
        self.pace.per_second()
    }
}

/// With one decimal.
pub(super) fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn text(row: &Row) -> Box<RawValue> {
    serde_json::value::to_raw_value(row).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use tenement_core::view::{CheckCounts, Health};

    use super::*;

    fn view(status: Status, since: u64) -> InstanceView {
        InstanceView {
            name: "api:a".parse().unwrap(),
            status,
            health: Health::Unknown,
            reason: None,
            socket: "/run/a".into(),
            port: None,
            pid: (status == Status::Running).then_some(7),
            uptime_ms: 0,
            since: Millis(since),
            woken: None,
            restart_count: 0,
            created_at: WallMillis(1_000_000),
            last_health_check: None,
            checks: CheckCounts::default(),
        }
    }

    fn at(clock: u64, wall: u64) -> Now {
        Now { clock: Millis(clock), wall: WallMillis(wall) }
    }

    const MEASURED: Measured = Measured { memory_mb: Some(1.5), cpu_percent: Some(0.1) };

    #[test]
    fn a_line_differs_only_when_what_is_told_does() {
        let mut line = Line::new(at(5000, 2_000_000), &view(Status::Running, 4000), None, None);
        assert_eq!((line.row.since, line.since()), (1_999_000, Millis(4000)));
        let totals = Totals { requests: 3, errors: 1 };
        assert!(line.figures(Millis(6000), totals, MEASURED));
        assert!(!line.figures(Millis(8000), totals, MEASURED), "as it was");
        // The wall clock was set, or read a moment later: that it runs since then has not changed.
        let next = Line::new(at(9000, 2_004_017), &view(Status::Running, 4000), Some(&line), None);
        assert_eq!((&next.row, next.text.get()), (&line.row, line.text.get()));
        let asleep = Line::new(at(9000, 2_004_000), &view(Status::Sleeping, 9000), Some(&line), None);
        assert_eq!((asleep.row.since, asleep.row.requests, asleep.row.memory_mb), (2_004_000, 3, None));
        assert_eq!((line.row.rps > 0.0, asleep.row.rps, asleep.row.eps), (true, 0.0, 0.0));
        let mut asleep = asleep;
        assert!(!asleep.figures(Millis(9500), totals, MEASURED), "nothing runs that this was measured of");
    }

    #[test]
    fn another_one_of_the_same_name_has_nothing_of_the_one_before() {
        let mut line = Line::new(at(5000, 2_000_000), &view(Status::Running, 4000), None, None);
        line.figures(Millis(6000), Totals { requests: 3, errors: 1 }, MEASURED);
        let woken = Woken { at: WallMillis(1_500_000), took_ms: 9 };
        let known = Line::new(at(5000, 2_000_000), &view(Status::Running, 4000), None, Some(woken));
        assert_eq!((known.row.last_wake, known.row.wake_ms), (Some(1_500_000), Some(9)));
        let another = InstanceView { created_at: WallMillis(1_900_000), ..view(Status::Running, 4000) };
        let another = Line::new(at(9000, 2_004_000), &another, Some(&line), Some(woken));
        assert_eq!((another.row.requests, another.row.memory_mb, another.row.last_wake), (0, None, None));
    }
}
