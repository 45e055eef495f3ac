//! `ten logs`.

mod pages;
mod tail;

use std::borrow::Cow;

use clap::Args;
use pages::PAGE;
use serde_json::Value;
use tail::LogTail;
use tenement_logs::inert;

use super::{
    Failure, Global,
    client::Client,
    follow, instance,
    output::{print_bytes, text},
    query::Query,
    service,
};

#[derive(Args)]
#[cfg_attr(test, derive(Default))]
#[command(after_help = "Examples:\n  ten logs notes:alice\n  ten logs notes:alice -f\n  \
    ten logs --service notes --level warn,error --lines 200\n  \
    ten logs notes:alice --grep 'took [0-9]{4,} ms'\n  ten logs --level error --since 1h\n\n\
    Control characters are shown and not obeyed (see --raw). With --json, one object per line.\n\
    --follow ends with Ctrl-C; when the daemon restarts it waits and goes on where it was.")]
pub(super) struct Logs {
    /// The instance, as SERVICE:ID [default: all]
    instance: Option<String>,
    /// The id, when the instance is given as SERVICE alone
    #[arg(long, requires = "instance")]
    id: Option<String>,
    /// Go on with new lines as they come, until Ctrl-C
    #[arg(long, short, conflicts_with = "until")]
    follow: bool,
    /// The newest so many lines
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50, allow_negative_numbers = true)]
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
    #[arg(long, value_name = "WORDS")]
    level: Option<String>,
    /// Only this service
    #[arg(long, value_name = "NAME", conflicts_with = "instance")]
    service: Option<String>,
    /// Pass control characters on as they are; dangerous on a terminal
    #[arg(long)]
    raw: bool,
}

impl Logs {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let base = self.base()?;
        let client = Client::new(global)?;
        let shown = Shown { json: global.json, raw: self.raw, colours: global.colours(&std::io::stdout()) };
        if self.follow {
            self.check_service(&client, &base)?;
            let mut tail = LogTail::new(self, global, base, shown);
            if self.lines > PAGE {
                tail.show_newest(&client)?;
            }
            return follow::follow(global, &client, &mut tail);
        }
        let query = || self.query(&base, self.since.as_deref());
        let pages = pages::newest(&client, self.lines, query, |line| Some(shown.render(line)))?;
        if pages.iter().all(String::is_empty) {
            self.check_service(&client, &base)?;
        }
        pages.iter().rev().try_for_each(|page| print_bytes(page.as_bytes()))
    }

    /// A service that is not there and of which nothing is kept.
    fn check_service(&self, client: &Client, base: &str) -> Result<(), Failure> {
        let Some(service) = &self.service else { return Ok(()) };
        let kept = Query::new(base).with("service", service).with("limit", "1");
        let kept = client.get(&kept.into_path())?;
        match kept["logs"].as_array().is_some_and(Vec::is_empty) {
            true => service::check(client, service),
            false => Ok(()),
        }
    }

    /// Where the API has them.
    fn base(&self) -> Result<String, Failure> {
        let Some(text) = &self.instance else { return Ok("/api/logs".into()) };
        let name = instance::parse(text, self.id.as_deref())?;
        Ok(format!("/api/logs/{}/{}", name.service.as_str(), name.id.as_str()))
    }

    /// Without the part that says how many.
    fn query(&self, base: &str, since: Option<&str>) -> Query {
        Query::new(base)
            .maybe("since", since)
            .maybe("until", self.until.as_deref())
            .maybe("grep", self.grep.as_deref())
            .maybe("search", self.search.as_deref())
            .maybe("level", self.level.as_deref())
            .maybe("service", self.service.as_deref())
    }
}

/// How lines are shown.
#[derive(Clone, Copy)]
struct Shown {
    json: bool,
    raw: bool,
    colours: bool,
}

impl Shown {
    fn render(self, line: &Value) -> String {
        if self.json {
            return line.to_string();
        }
        let level = text(line, "level");
        let colour = match level.as_str() {
            "error" => "31",
            "warn" => "33",
            "debug" => "2",
            _ => "0",
        };
        let level =
            if self.colours { format!("\x1b[{colour}m{level:<5}\x1b[0m") } else { format!("{level:<5}") };
        let message = line["message"].as_str().unwrap_or_default();
        let message = if self.raw { Cow::from(message) } else { inert(message) };
        // Where a line of an instance has its level: so none of them looks like one of the daemon's.
        let by_daemon = if line["source"] == "daemon" { "- " } else { "" };
        format!("{} {} {by_daemon}{level} {message}", text(line, "timestamp"), text(line, "instance"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // faults: L6
    #[test]
    fn control_characters_are_shown_unless_they_are_wanted() {
        let line = json!({ "timestamp": "t", "instance": "api:a", "level": "warn", "message": "a\x1b[2Jb" });
        let plain = Shown { json: false, raw: false, colours: false };
        assert_eq!(plain.render(&line), "t api:a warn  a^[[2Jb");
        let note = json!({ "timestamp": "t", "instance": "api:a", "level": "warn", "message": "n", "source": "daemon" });
        assert_eq!(plain.render(&note), "t api:a - warn  n");
        assert_eq!(Shown { raw: true, ..plain }.render(&line), "t api:a warn  a\x1b[2Jb");
        assert_eq!(Shown { colours: true, ..plain }.render(&line), "t api:a \x1b[33mwarn \x1b[0m a^[[2Jb");
    }
}
