//! `ten events`.

use clap::Args;
use serde_json::Value;
use tenement_core::name::ServiceName;

use super::{
    Failure, Global,
    client::{Client, Taken},
    follow::{self, Tail},
    instance,
    output::{print, text},
    query::Query,
    service, table, wait,
};

/// More than this the API does not give in one answer.
const PAGE: usize = 1000;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ten events\n  ten events notes:alice -n 200\n  ten events --service notes --since 1h\n  \
    ten events -f\n  ten --json events -f | jq .cause\n\n\
    A line has the time, the instance, what it was and became, the cause and who asked for it,\n\
    the reason, how its process ended, and for how long it had been what it was.\n\
    With -v, the last lines of what ended without being asked to follow it.\n\
    With --json, one object per line, which has those lines too.\n\
    --follow ends with Ctrl-C; when the daemon restarts it waits and goes on where it was."
)]
pub(super) struct Events {
    /// The instance, as SERVICE:ID [default: all]
    instance: Option<String>,
    /// The id, when the instance is given as SERVICE alone
    #[arg(long, requires = "instance")]
    id: Option<String>,
    /// Go on with new events as they come, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// The newest so many events, at most 1000
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50, value_parser = count, allow_negative_numbers = true)]
    lines: usize,
    /// Only events from then on: so long ago (30s, 5m, 1h, 7d), or RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only this service
    #[arg(long, value_name = "NAME", conflicts_with = "instance")]
    service: Option<String>,
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (0..=PAGE).contains(count));
    count.ok_or_else(|| format!("must be a number up to {PAGE}"))
}

impl Events {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let query = self.query()?;
        let client = Client::new(global)?;
        if self.follow {
            self.check(&client, &query)?;
            let mut tail = EventTail { events: self, global, query, last: None };
            return follow::follow(global, &client, &mut tail);
        }
        let query = query.maybe("since", self.since.as_deref());
        let answer = client.get(&with_limit(query, self.lines))?;
        if answer["events"].as_array().is_some_and(Vec::is_empty) {
            self.check(&client, &self.query()?)?;
        }
        let events = answer["events"].as_array().into_iter().flatten();
        let lines: Vec<String> = events.map(|event| shown(event, global)).collect();
        if lines.is_empty() { Ok(()) } else { print(&lines.join("\n")) }
    }

    /// What is asked for never was: that is no empty answer.
    fn check(&self, client: &Client, query: &Query) -> Result<(), Failure> {
        if self.instance.is_none() && self.service.is_none() {
            return Ok(());
        }
        let any = client.get(&with_limit(query.clone(), 1))?;
        if any["events"].as_array().is_some_and(|events| !events.is_empty()) {
            return Ok(());
        }
        if let Some(service) = &self.service {
            return service::check(client, service);
        }
        if let Some(text) = &self.instance {
            client.get(&wait::path(&instance::parse(text, self.id.as_deref())?))?;
        }
        Ok(())
    }

    fn query(&self) -> Result<Query, Failure> {
        let parse = |text| instance::parse(text, self.id.as_deref());
        let name = self.instance.as_deref().map(parse).transpose()?.map(|name| name.to_string());
        let service = self.service.as_deref().map(str::parse::<ServiceName>).transpose();
        let service = service.map_err(Failure::config)?;
        let query = Query::new("/api/events").maybe("instance", name.as_deref());
        Ok(query.maybe("service", service.as_ref().map(ServiceName::as_str)))
    }
}

fn with_limit(query: Query, limit: usize) -> String {
    query.with("limit", &limit.to_string()).into_path()
}

struct EventTail<'a> {
    events: &'a Events,
    global: &'a Global,
    query: Query,
    /// The newest that was shown.
    last: Option<Value>,
}

impl Tail for EventTail<'_> {
    fn path(&mut self, _again: bool) -> String {
        let query = self.query.clone().with("follow", "true");
        match &self.last {
            Some(Value::String(id)) => with_limit(query.with("after", id), PAGE),
            Some(id) => with_limit(query.with("after", &id.to_string()), PAGE),
            None => with_limit(query.maybe("since", self.events.since.as_deref()), self.events.lines),
        }
    }

    fn take(&mut self, event: Value) -> Taken {
        if let Some(count) = follow::dropped(&event) {
            follow::tell_dropped(self.global, count, "events");
            if self.global.json {
                print(&event.to_string())?;
            }
            return Ok(());
        }
        let id = &event["id"];
        let seen = match (&self.last, id) {
            (Some(last), id) if last.is_u64() && id.is_u64() => id.as_u64() <= last.as_u64(),
            (last, id) => last.as_ref() == Some(id),
        };
        if seen {
            return Ok(());
        }
        if !id.is_null() {
            self.last = Some(id.clone());
        }
        print(&shown(&event, self.global))
    }
}

/// One line, and with `-v` the last ones it printed. An older or newer daemon may leave out any of it.
fn shown(event: &Value, global: &Global) -> String {
    if global.json {
        return event.to_string();
    }
    let mut shown = line(event);
    if global.verbose > 0 {
        let last = event["last_lines"].as_array().into_iter().flatten().filter_map(Value::as_str);
        last.for_each(|last| shown.extend(["\n    | ", &tenement_logs::inert(last)]));
    }
    shown
}

fn line(event: &Value) -> String {
    let word = |key| Some(text(event, key)).filter(|text| !text.is_empty());
    let from = word("from").unwrap_or_else(|| "-".into());
    let to = word("to").unwrap_or_else(|| "forgotten".into());
    let mut line = format!("{} {} {from} -> {to}", text(event, "timestamp"), text(event, "instance"));
    if let Some(cause) = word("cause") {
        line.push_str(&format!("  {cause}"));
    }
    if let Some(actor) = word("actor") {
        line.push_str(&format!(" by {actor}"));
    }
    if let Some(reason) = word("reason") {
        line.push_str(&format!(": {reason}"));
    }
    let ended = ended(event);
    let lasted = event["duration_ms"].as_u64().or_else(|| event["lasted_ms"].as_u64());
    let lasted = lasted.filter(|_| event["from"].is_string()).map(|ms| match ms {
        0..1000 => format!("after {ms}ms"),
        _ => format!("after {}", table::duration(ms)),
    });
    let more: Vec<String> = ended.into_iter().chain(lasted).collect();
    if more.is_empty() { line } else { format!("{line} ({})", more.join(", ")) }
}

/// How its process ended.
fn ended(event: &Value) -> Option<String> {
    let signal = match &event["signal"] {
        Value::String(name) => Some(tenement_logs::inert(name).into_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    if event["oom"] == true {
        return Some("out of memory".into());
    }
    signal
        .map(|signal| format!("signal {signal}"))
        .or_else(|| Some(format!("exit {}", event["exit_code"].as_i64()?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // faults: L6
    #[test]
    fn a_line_has_what_the_event_has() {
        let full = json!({
            "id": 7, "timestamp": "t", "instance": "api:a", "from": "running", "to": "failed", "cause": "exit",
            "actor": "token:ci", "reason": "it\x1b died", "exit_code": 3, "signal": null, "oom": false,
            "duration_ms": 61_500,
        });
        assert_eq!(
            shown(&full, &Global::default()),
            "t api:a running -> failed  exit by token:ci: it^[ died (exit 3, after 1m 1s)"
        );
        let killed = json!({ "from": "running", "to": null, "signal": 9, "lasted_ms": 20 });
        assert_eq!(shown(&killed, &Global::default()), "  running -> forgotten (signal 9, after 20ms)");
        let (brief, verbose) = (Global::default(), Global { verbose: 1, ..Global::default() });
        let oom = json!({ "oom": true, "signal": 9, "last_lines": ["a", "b\x1b"] });
        assert_eq!(shown(&oom, &brief), "  - -> forgotten (out of memory)");
        assert_eq!(shown(&oom, &verbose), "  - -> forgotten (out of memory)\n    | a\n    | b^[");
    }
}
