//! `ten logs`.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::Value;
use tenement_logs::inert;

use super::{
    Failure, Global,
    client::Client,
    instance,
    output::{print, text},
};

/// More lines than this the API does not give in one answer.
const PAGE: usize = 1000;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ten logs notes:alice\n  ten logs --service notes --level warn,error --lines 200\n  \
    ten logs notes:alice --grep 'took [0-9]{4,} ms'\n  ten logs --level error --since 1h\n\n\
    Control characters are shown and not obeyed (see --raw). With --json, one object per line.\n\
    Following as lines come is not there yet."
)]
pub(super) struct Logs {
    /// The instance, as SERVICE:ID [default: all]
    instance: Option<String>,
    /// The id, when the instance is given as SERVICE alone
    #[arg(long, requires = "instance")]
    id: Option<String>,
    /// The newest so many lines
    #[arg(long, short = 'n', default_value_t = 50)]
    lines: usize,
    /// Only lines from then on: so long ago (30s, 5m, 1h, 7d), or RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only lines until then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "REGEX")]
    grep: Option<String>,
    /// Only lines that have this text in them
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only these levels: debug, info, warn, error, or several with commas
    #[arg(long)]
    level: Option<String>,
    /// Only this service
    #[arg(long, conflicts_with = "instance")]
    service: Option<String>,
    /// Pass control characters on as they are; dangerous on a terminal
    #[arg(long)]
    raw: bool,
}

impl Logs {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let lines = self.newest(&Client::new(global)?)?;
        let colours = global.colours(&std::io::stdout());
        let shown =
            lines.iter().map(|line| if global.json { line.to_string() } else { self.render(line, colours) });
        let shown: Vec<String> = shown.collect();
        if shown.is_empty() { Ok(()) } else { print(&shown.join("\n")) }
    }

    /// The newest lines, oldest first, page by page.
    fn newest(&self, client: &Client) -> Result<Vec<Value>, Failure> {
        let path = self.path()?;
        let mut pages = Vec::new();
        let mut seen = BTreeSet::new();
        let mut offset = 0;
        while offset < self.lines || offset == 0 {
            let limit = PAGE.min(self.lines - offset);
            let mut answer = client.get(&format!("{path}limit={limit}&offset={offset}"))?;
            let Value::Array(page) = answer["logs"].take() else { break };
            // Fewer than were asked for when they are long.
            let count = page.len();
            offset += count;
            // Lines that came in between push older ones into the next page once more.
            let fresh = |line: &Value| seen.insert((line["instance"].to_string(), line["seq"].to_string()));
            pages.push(page.into_iter().filter(fresh).collect::<Vec<_>>());
            if count == 0 || answer["pagination"]["has_more"] != true {
                break;
            }
        }
        Ok(pages.into_iter().rev().flatten().collect())
    }

    /// Without the part of the query that says which page.
    fn path(&self) -> Result<String, Failure> {
        let mut path = match &self.instance {
            Some(text) => {
                let name = instance::parse(text, self.id.as_deref())?;
                format!("/api/logs/{}/{}?", name.service.as_str(), name.id.as_str())
            }
            None => "/api/logs?".into(),
        };
        let filters = [
            ("since", &self.since),
            ("until", &self.until),
            ("grep", &self.grep),
            ("search", &self.search),
            ("level", &self.level),
            ("service", &self.service),
        ];
        for (key, value) in filters {
            if let Some(value) = value {
                path.push_str(&format!("{key}={}&", encode(value)));
            }
        }
        Ok(path)
    }

    fn render(&self, line: &Value, colours: bool) -> String {
        let level = text(line, "level");
        let colour = match level.as_str() {
            "error" => "31",
            "warn" => "33",
            "debug" => "2",
            _ => "0",
        };
        let level = if colours { format!("\x1b[{colour}m{level:<5}\x1b[0m") } else { format!("{level:<5}") };
        let message = line["message"].as_str().unwrap_or_default();
        let message = if self.raw { message.into() } else { inert(message) };
        format!("{} {} {level} {message}", text(line, "timestamp"), text(line, "instance"))
    }
}

/// Percent-encoding of a query value (RFC 3986 section 2.1).
fn encode(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    value
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn logs(raw: bool) -> Logs {
        Logs {
            instance: None,
            id: None,
            lines: 50,
            since: None,
            until: Some("2026-01-12T12:30:00+02:00".into()),
            grep: Some("a b&c".into()),
            search: None,
            level: None,
            service: Some("é".into()),
            raw,
        }
    }

    // faults: L6
    #[test]
    fn control_characters_are_shown_unless_they_are_wanted() {
        let line = json!({ "timestamp": "t", "instance": "api:a", "level": "warn", "message": "a\x1b[2Jb" });
        assert_eq!(logs(false).render(&line, false), "t api:a warn  a^[[2Jb");
        assert_eq!(logs(true).render(&line, false), "t api:a warn  a\x1b[2Jb");
        assert_eq!(logs(false).render(&line, true), "t api:a \x1b[33mwarn \x1b[0m a^[[2Jb");
    }

    #[test]
    fn filters_are_encoded() {
        assert_eq!(
            logs(false).path().unwrap(),
            "/api/logs?until=2026-01-12T12%3A30%3A00%2B02%3A00&grep=a%20b%26c&service=%C3%A9&"
        );
    }
}
