//! Following lines, so that an interruption neither loses nor doubles any.

use std::{collections::BTreeMap, ops::ControlFlow};

use jiff::Timestamp;
use serde_json::Value;
use tenement_core::time::WallMillis;
use tenement_runtime::clock;

use super::{Logs, PAGE, Shown, newest};
use crate::cli::{
    Failure, Global,
    client::{Client, Error, GO_ON, Taken},
    follow::{self, Tail},
    output::print,
};

/// Lines of different instances may come out of order by so much.
const OVERLAP_MS: u64 = 1000;
/// So often lines that are missing are fetched before those that are there are shown.
const GAPS: usize = 3;
/// The most that is caught up with after an interruption.
const CATCH_UP: usize = 100_000;

pub(super) struct LogTail<'a> {
    logs: &'a Logs,
    global: &'a Global,
    base: String,
    shown: Shown,
    /// Nothing that is older was to be shown.
    floor: WallMillis,
    /// The time of the newest line.
    newest: WallMillis,
    last: BTreeMap<String, Last>,
    /// After an interruption, lines come once more.
    again: bool,
    /// The first line of a connection is to come. It should be one that came before: else so many came meanwhile
    /// that those in between are not sent.
    is_first: bool,
    /// So often it was none.
    gaps: usize,
}

/// The last line of an instance that was shown.
#[derive(Clone, Copy, Default)]
struct Last {
    seq: u64,
    at: WallMillis,
}

impl<'a> LogTail<'a> {
    pub(super) fn new(logs: &'a Logs, global: &'a Global, base: String, shown: Shown) -> Self {
        let (now, last) = (clock::wall(), BTreeMap::new());
        Self {
            logs,
            global,
            base,
            shown,
            floor: now,
            newest: now,
            last,
            again: false,
            is_first: false,
            gaps: 0,
        }
    }

    /// More of the newest lines than one answer holds.
    pub(super) fn show_newest(&mut self, client: &Client) -> Result<(), Failure> {
        let lines = newest(client, self.logs.lines, |limit, offset| {
            let query = self.logs.query(&self.base, self.logs.since.as_deref());
            query.with("limit", limit).with("offset", offset).into_path()
        })?;
        lines.iter().filter(|line| is_whole(line)).try_for_each(|line| self.show(line))?;
        self.again = true;
        Ok(())
    }

    /// From where on lines may not have been shown.
    fn since(&self) -> String {
        let at = WallMillis(self.newest.0.saturating_sub(OVERLAP_MS)).max(self.floor);
        let at = i64::try_from(at.0).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
        at.unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    fn show(&mut self, line: &Value) -> Result<(), Failure> {
        if self.is_fresh(line) { print(&self.shown.render(line)) } else { Ok(()) }
    }

    /// Whether it was shown. A number that was seen belongs to another line when the instance was erased and
    /// made anew meanwhile: that one is younger.
    fn is_known(&self, line: &Value) -> bool {
        let last = line["instance"].as_str().and_then(|instance| self.last.get(instance));
        let (seq, at) = (line["seq"].as_u64(), time(line).unwrap_or_default());
        last.zip(seq).is_some_and(|(last, seq)| seq <= last.seq && at <= last.at)
    }

    /// Whether it is to be shown; from now on it was.
    fn is_fresh(&mut self, line: &Value) -> bool {
        let (Some(instance), Some(seq)) = (line["instance"].as_str(), line["seq"].as_u64()) else {
            return true;
        };
        let at = time(line).unwrap_or_default();
        let first = self.last.is_empty();
        if self.again && self.is_known(line) {
            return false;
        }
        if is_whole(line) {
            self.last.insert(instance.to_owned(), Last { seq, at });
        }
        self.floor = if first { at } else { self.floor.min(at) };
        self.newest = if first { at } else { self.newest.max(at) };
        true
    }
}

impl Tail for LogTail<'_> {
    fn path(&self, again: bool) -> String {
        let (since, limit) = match again || self.again {
            true => (Some(self.since()), PAGE),
            false => (self.logs.since.clone(), self.logs.lines.min(PAGE)),
        };
        let query = self.logs.query(&self.base, since.as_deref()).with("follow", "true");
        query.with("limit", &limit.to_string()).into_path()
    }

    fn has_begun(&self) -> bool {
        self.again
    }

    fn catch_up(&mut self, client: &Client) -> Result<Result<(), Failure>, Error> {
        self.again = true;
        let since = self.since();
        let lines = newest(client, CATCH_UP, |limit, offset| {
            let query = self.logs.query(&self.base, Some(&since));
            query.with("limit", limit).with("offset", offset).into_path()
        })?;
        self.is_first = true;
        Ok(lines.iter().filter(|line| is_whole(line)).try_for_each(|line| self.show(line)))
    }

    fn take(&mut self, line: Value) -> Taken {
        if let Some(count) = follow::dropped(&line) {
            follow::tell_dropped(self.global, count, "lines");
            if self.global.json {
                print(&line.to_string())?;
            }
            return GO_ON;
        }
        let is_gap = std::mem::take(&mut self.is_first) && !self.is_known(&line);
        self.gaps = if is_gap { self.gaps + 1 } else { 0 };
        // What came before may be gone for good.
        if is_gap && self.gaps <= GAPS {
            return Ok(ControlFlow::Break(()));
        }
        self.show(&line)?;
        GO_ON
    }
}

/// Of what is still being written the end comes later, as another line with a number of its own.
fn is_whole(line: &Value) -> bool {
    line["part"] != "open"
}

fn time(line: &Value) -> Option<WallMillis> {
    let at: Timestamp = line["timestamp"].as_str()?.parse().ok()?;
    Some(WallMillis(u64::try_from(at.as_millisecond()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(instance: &str, seq: u64, second: u32) -> Value {
        json!({ "instance": instance, "seq": seq, "timestamp": format!("2026-01-12T10:30:{second:02}.500Z") })
    }

    #[test]
    fn after_an_interruption_only_what_was_not_shown_is_fresh() {
        let (logs, global) = (Logs::default(), Global::default());
        let shown = Shown { json: false, raw: false, colours: false };
        let mut tail = LogTail::new(&logs, &global, "/api/logs".into(), shown);
        assert!(tail.is_fresh(&line("api:a", 7, 10)) && tail.is_fresh(&line("api:b", 1, 20)));
        assert_eq!(tail.since(), "2026-01-12T10:30:19.500Z");
        tail.again = true;
        assert!(!tail.is_fresh(&line("api:a", 7, 10)) && !tail.is_fresh(&line("api:b", 0, 19)));
        assert!(tail.is_fresh(&line("api:a", 8, 9)), "the clock stepped back");
        assert!(tail.is_fresh(&line("api:b", 0, 30)), "erased, and made anew");
        assert!(tail.is_fresh(&line("api:c", 0, 21)) && tail.is_fresh(&json!({ "message": "x" })));
    }

    #[test]
    fn nothing_older_than_the_first_line_is_asked_for() {
        let (logs, global) = (Logs::default(), Global::default());
        let shown = Shown { json: false, raw: false, colours: false };
        let mut tail = LogTail::new(&logs, &global, "/api/logs".into(), shown);
        assert!(tail.is_fresh(&line("api:a", 7, 10)));
        assert!(tail.path(true).contains("since=2026-01-12T10%3A30%3A10.500Z&follow=true&limit=1000"));
        let mut open = line("api:a", 8, 11);
        open["part"] = "open".into();
        assert!(tail.is_fresh(&open));
        tail.again = true;
        assert!(tail.is_fresh(&line("api:a", 8, 11)), "its whole");
    }
}
