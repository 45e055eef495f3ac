//! Following lines, so that an interruption neither loses nor doubles any.
//!
//! The place in every instance is kept; after an interruption the daemon goes on there (`from=`). What it can't
//! give any more it counts.

use std::{cmp::Reverse, collections::BTreeMap, time::Instant};

use jiff::Timestamp;
use serde_json::Value;
use tenement_core::{name::InstanceName, time::WallMillis};
use tenement_logs::Place;
use tenement_runtime::clock;

use super::{Logs, PAGE, Shown, pages};
use crate::cli::{
    Failure, Global,
    client::{Client, Taken},
    follow::{self, Tail},
    output::print_bytes,
    query::Query,
};

/// Lines of different instances may come out of order by so much.
const OVERLAP_MS: u64 = 1000;
/// So many bytes are written at once.
const WRITE: usize = 64 << 10;

pub(super) struct LogTail<'a> {
    logs: &'a Logs,
    global: &'a Global,
    base: String,
    shown: Shown,
    begun: Instant,
    /// The times of the oldest and the newest line, once there is one.
    span: Option<(WallMillis, WallMillis)>,
    last: BTreeMap<String, Last>,
    /// After an interruption, lines may come once more.
    again: bool,
    /// What is shown, but was not written yet.
    out: Vec<u8>,
}

/// The last line of an instance that was shown.
#[derive(Clone, Copy, Default)]
struct Last {
    seq: u64,
    at: WallMillis,
}

impl Last {
    fn next(self) -> Place {
        Place { seq: self.seq + 1, after: Some(self.at) }
    }
}

impl<'a> LogTail<'a> {
    pub(super) fn new(logs: &'a Logs, global: &'a Global, base: String, shown: Shown) -> Self {
        let (begun, last) = (clock::instant(), BTreeMap::new());
        Self { logs, global, base, shown, begun, span: None, last, again: false, out: Vec::new() }
    }

    /// More of the newest lines than one answer holds.
    pub(super) fn show_newest(&mut self, client: &Client) -> Result<(), Failure> {
        let (logs, base, shown) = (self.logs, self.base.clone(), self.shown);
        let query = || logs.query(&base, logs.since.as_deref());
        let pages = pages::newest(client, shown.json, logs.lines, query, |lines| {
            let whole = lines.iter().filter(|line| is_whole(line));
            let shown = whole.map(|line| {
                self.note(line, true);
                shown.render(line) + "\n"
            });
            shown.collect()
        })?;
        pages.iter().rev().try_for_each(|page| print_bytes(page.as_bytes()))?;
        self.again = true;
        Ok(())
    }

    /// From where on lines of instances may not have been shown of which none was.
    fn since(&self) -> String {
        let Some((oldest, newest)) = self.span else {
            // By the daemon's clock, not by ours.
            return format!("{}s", self.begun.elapsed().as_secs() + 1);
        };
        let at = WallMillis(newest.0.saturating_sub(OVERLAP_MS)).max(oldest);
        let at = i64::try_from(at.0).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
        at.unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    /// The next line of every instance. When they do not all fit, those that were silent longest are left out: what
    /// comes of them again is known.
    fn places(&self, query: &Query) -> String {
        let mut last: Vec<_> =
            self.last.iter().filter(|(name, _)| name.parse::<InstanceName>().is_ok()).collect();
        last.sort_by_key(|(_, last)| Reverse(last.at));
        pages::places(query, last.into_iter().map(|(name, last)| (name.as_str(), last.next()))).0
    }

    /// Whether it was shown. A number that was seen belongs to another line when the instance was erased and
    /// made anew meanwhile: that one is younger.
    fn is_known(&self, line: &Value) -> bool {
        let last = line["instance"].as_str().and_then(|instance| self.last.get(instance));
        let (seq, at) = (line["seq"].as_u64(), time(line).unwrap_or_default());
        last.zip(seq).is_some_and(|(last, seq)| seq <= last.seq && at <= last.at)
    }

    /// It is shown. In pages the newest comes first; else a smaller number is of an instance that was made anew.
    fn note(&mut self, line: &Value, is_page: bool) {
        let (Some(instance), Some(seq)) = (line["instance"].as_str(), line["seq"].as_u64()) else { return };
        let at = time(line).unwrap_or_default();
        let (oldest, newest) = self.span.unwrap_or((at, at));
        self.span = Some((oldest.min(at), newest.max(at)));
        if !is_whole(line) {
            return;
        }
        match self.last.get_mut(instance) {
            Some(last) if is_page && seq <= last.seq => {}
            Some(last) => *last = Last { seq, at },
            None => drop(self.last.insert(instance.to_owned(), Last { seq, at })),
        }
    }

    /// Whether it is to be shown; from now on it was.
    fn is_fresh(&mut self, line: &Value) -> bool {
        if self.again && self.is_known(line) {
            return false;
        }
        self.note(line, false);
        true
    }
}

impl Tail for LogTail<'_> {
    fn path(&mut self, again: bool) -> String {
        self.again |= again;
        if self.again {
            let query = self.logs.query(&self.base, Some(&self.since())).with("follow", "true");
            let places = self.places(&query);
            return query.with_plain("from", &places).into_path();
        }
        let query = self.logs.query(&self.base, self.logs.since.as_deref()).with("follow", "true");
        query.with("limit", &self.logs.lines.min(PAGE).to_string()).into_path()
    }

    fn has_begun(&self) -> bool {
        self.again
    }

    fn take(&mut self, line: Value) -> Taken {
        if let Some(count) = follow::dropped(&line) {
            let whose = line["instance"].as_str().map(|name| format!(" of {name}")).unwrap_or_default();
            self.flush()?;
            follow::tell_dropped(self.global, count, &format!("lines{whose}"));
            if self.global.json {
                self.out.extend_from_slice(format!("{line}\n").as_bytes());
            }
        } else if self.is_fresh(&line) {
            self.out.extend_from_slice(self.shown.render(&line).as_bytes());
            self.out.push(b'\n');
        }
        if self.out.len() < WRITE { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Taken {
        if self.out.is_empty() {
            return Ok(());
        }
        let written = print_bytes(&self.out);
        self.out.clear();
        written
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
        let shown = Shown::default();
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
        let shown = Shown::default();
        let mut tail = LogTail::new(&logs, &global, "/api/logs".into(), shown);
        assert!(tail.is_fresh(&line("api:a", 7, 10)));
        let path = tail.path(true);
        assert!(
            path.ends_with("?since=2026-01-12T10%3A30%3A10.500Z&follow=true&from=api:a:8@1768213810500"),
            "{path}"
        );
        let mut open = line("api:a", 8, 11);
        open["part"] = "open".into();
        assert!(tail.is_fresh(&open));
        tail.again = true;
        assert!(tail.is_fresh(&line("api:a", 8, 11)), "its whole");
    }
}
