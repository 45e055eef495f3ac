//! `ten logs`.

mod all;
mod bars;
mod pages;
mod reindex;
mod tail;

use std::borrow::Cow;

use clap::{Args, Subcommand};
use pages::PAGE;
use serde_json::Value;
use tail::LogTail;
use tenement_core::name::InstanceName;
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
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  ten logs notes:alice\n  ten logs notes:alice -f\n  \
    ten logs --service notes --level warn,error --lines 200\n  \
    ten logs notes:alice --grep 'took [0-9]{4,} ms'\n  ten logs --level error --since 1h -C 3\n  \
    ten logs --field 'status>=500' --since 1d --histogram\n  ten --json logs --all > all.ndjson\n  ten logs reindex\n\n\
    Control characters are shown and not obeyed (see --raw). With --json, one object per line.\n\
    --follow ends with Ctrl-C; when the daemon restarts it waits and goes on where it was."
)]
pub(super) struct Logs {
    #[command(subcommand)]
    work: Option<Work>,
    /// The instance, as SERVICE:ID; several with commas [default: all]
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
    /// Only lines that have all these words, in upper or lower case; "in quotes" as they stand together
    #[arg(long, value_name = "WORDS")]
    query: Option<String>,
    /// Only JSON and logfmt lines with a field that meets this: 'status>=500', 'user=alice', 'path~^/api'; several
    /// times: all of them
    #[arg(long = "field", value_name = "CONDITION")]
    fields: Vec<String>,
    /// Only these levels: debug, info, warn, error, or several with commas
    #[arg(long, value_name = "WORDS")]
    level: Option<String>,
    /// Only what was written there
    #[arg(long, value_name = "STREAM", value_parser = ["stdout", "stderr"])]
    stream: Option<String>,
    /// Only this service
    #[arg(long, value_name = "NAME", conflicts_with = "instance")]
    service: Option<String>,
    /// Also so many lines around each; 100 at most
    #[arg(long, short = 'C', value_name = "N", conflicts_with = "follow")]
    context: Option<usize>,
    /// Also so many lines before each
    #[arg(long, short = 'B', value_name = "N", conflicts_with = "follow")]
    before_context: Option<usize>,
    /// Also so many lines after each
    #[arg(long, short = 'A', value_name = "N", conflicts_with = "follow")]
    after_context: Option<usize>,
    /// Instead of lines, how many there were over time
    #[arg(long, conflicts_with_all = ["follow", "lines", "context", "before_context", "after_context"])]
    histogram: bool,
    /// The length of time that is one bar: 30s, 5m, 1h, 7d
    #[arg(long, value_name = "TIME", requires = "histogram")]
    interval: Option<String>,
    /// All lines, oldest first, however many
    #[arg(long, conflicts_with_all = ["follow", "lines", "context", "before_context", "after_context", "histogram"])]
    all: bool,
    /// Pass control characters on as they are; dangerous on a terminal
    #[arg(long)]
    raw: bool,
}

/// What there is to do with logs beside reading them.
#[derive(Subcommand)]
enum Work {
    /// Make the indexes of all logs anew
    ///
    /// Waits until all are made.
    Reindex(reindex::Reindex),
}

impl Logs {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        if let Some(Work::Reindex(reindex)) = &self.work {
            return reindex.run(global);
        }
        let names = self.names()?;
        let base = base(&names);
        let client = Client::new(global)?;
        let colours = global.colours(&std::io::stdout());
        let shown = Shown { json: global.json, raw: self.raw, colours, marks: self.has_context() };
        if self.histogram {
            return bars::show(self, &client, &names, shown);
        }
        if self.all {
            return all::show(self, &client, &names, shown);
        }
        if self.follow {
            self.check_service(&client, &base)?;
            let mut tail = LogTail::new(self, global, base, shown);
            if self.lines > PAGE {
                tail.show_newest(&client)?;
            }
            return follow::follow(global, &client, &mut tail);
        }
        let query = || self.query(&base, self.since.as_deref());
        if self.has_context() && self.lines > PAGE {
            return Err(Failure::config(format!("lines around others: --lines can't be above {PAGE} then")));
        }
        let pages = pages::newest(&client, shown.json, self.lines, query, |lines| shown.page(lines))?;
        if pages.iter().all(String::is_empty) {
            self.check(&client, &names)?;
        }
        pages.iter().rev().try_for_each(|page| print_bytes(page.as_bytes()))
    }

    fn has_context(&self) -> bool {
        self.context.or(self.before_context).or(self.after_context).is_some()
    }

    /// An instance that never was, or a service that is not there: for when there is no line.
    fn check(&self, client: &Client, names: &[InstanceName]) -> Result<(), Failure> {
        for name in names {
            client.get(&Query::new(&base(std::slice::from_ref(name))).with("limit", "1").into_path())?;
        }
        self.check_service(client, "/api/logs")
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

    /// Whose lines; of all, when there are none.
    fn names(&self) -> Result<Vec<InstanceName>, Failure> {
        let Some(text) = &self.instance else { return Ok(Vec::new()) };
        if self.id.is_some() && text.contains(',') {
            return Err(Failure::config("--id goes with one instance: write the others as SERVICE:ID"));
        }
        text.split(',').map(|one| instance::parse(one.trim(), self.id.as_deref())).collect()
    }

    /// Without the part that says how many.
    fn query(&self, base: &str, since: Option<&str>) -> Query {
        let several = self.instance.as_deref().filter(|_| base == "/api/logs");
        let around = |lines: Option<usize>| lines.map(|lines| lines.to_string());
        self.filtered(Query::new(base).maybe("instance", several), since)
            .maybe("context", around(self.context).as_deref())
            .maybe("context_before", around(self.before_context).as_deref())
            .maybe("context_after", around(self.after_context).as_deref())
    }

    /// What an address without an instance in it is asked.
    fn question(&self, path: &str, names: &[InstanceName]) -> Query {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let named = (!names.is_empty()).then(|| names.join(","));
        self.filtered(Query::new(path).maybe("instance", named.as_deref()), self.since.as_deref())
    }

    fn filtered(&self, query: Query, since: Option<&str>) -> Query {
        let query = query
            .maybe("since", since)
            .maybe("until", self.until.as_deref())
            .maybe("grep", self.grep.as_deref())
            .maybe("search", self.search.as_deref())
            .maybe("level", self.level.as_deref())
            .maybe("service", self.service.as_deref())
            .maybe("stream", self.stream.as_deref())
            .maybe("query", self.query.as_deref());
        self.fields.iter().fold(query, |query, field| query.with("field", field))
    }
}

/// Where the API has them.
fn base(names: &[InstanceName]) -> String {
    match names {
        [name] => format!("/api/logs/{}/{}", name.service.as_str(), name.id.as_str()),
        _ => "/api/logs".into(),
    }
}

/// How lines are shown.
#[derive(Clone, Copy, Default)]
struct Shown {
    json: bool,
    raw: bool,
    colours: bool,
    /// What was found is told from what is around it.
    marks: bool,
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
        let mark = match (self.marks, line["context"] == true) {
            (false, _) => "",
            (true, false) => "> ",
            (true, true) => "  ",
        };
        format!("{mark}{} {} {by_daemon}{level} {message}", text(line, "timestamp"), text(line, "instance"))
    }

    /// Lines with their ends, and as grep does it a `--` between those that don't lie together.
    fn page(self, lines: &[Value]) -> String {
        let mut page = String::new();
        let place = |line: &Value| Some((line["instance"].as_str()?.to_owned(), line["seq"].as_u64()?));
        let mut last = None;
        for line in lines {
            let place = place(line);
            let next = last.replace(place.clone()).flatten();
            let follows = next.map(|(instance, seq): (String, u64)| (instance, seq + 1)) == place;
            if self.marks && !self.json && !page.is_empty() && !follows {
                page.push_str("--\n");
            }
            page.push_str(&self.render(line));
            page.push('\n');
        }
        page
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
        let plain = Shown::default();
        assert_eq!(plain.render(&line), "t api:a warn  a^[[2Jb");
        let note = json!({ "timestamp": "t", "instance": "api:a", "level": "warn", "message": "n", "source": "daemon" });
        assert_eq!(plain.render(&note), "t api:a - warn  n");
        assert_eq!(Shown { raw: true, ..plain }.render(&line), "t api:a warn  a\x1b[2Jb");
        assert_eq!(Shown { colours: true, ..plain }.render(&line), "t api:a \x1b[33mwarn \x1b[0m a^[[2Jb");
    }
    #[test]
    fn lines_that_do_not_lie_together_are_divided() {
        let line = |instance: &str, seq: u64, context: bool| json!({ "timestamp": "t", "instance": instance, "level": "info", "seq": seq, "context": context });
        let lines = [
            line("api:a", 3, true),
            line("api:a", 4, false),
            line("api:a", 6, false),
            line("api:b", 7, false),
            line("api:b", 8, true),
        ];
        let shown = Shown { marks: true, ..Shown::default() }.page(&lines);
        assert_eq!(
            shown.lines().map(|line| line.get(..9).unwrap_or(line)).collect::<Vec<_>>(),
            ["  t api:a", "> t api:a", "--", "> t api:a", "--", "> t api:b", "  t api:b"]
        );
        assert!(!Shown::default().page(&lines).contains("--"));
    }
}
