//! `ten reload`.

use clap::Args;
use serde_json::Value;
use tenement_core::config::{Diagnostic, Severity};
use tenement_logs::inert;

use super::{
    Failure, Global,
    client::Client,
    failure::EXIT_CONFIG,
    output::{text, warn},
    print, print_json,
    progress::Progress,
    serve::errors,
};

const PATH: &str = "/api/reload";
/// What the answer calls the file: its path is the daemon's own business.
const FILE: &str = "tenement.toml";

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ten reload --dry-run      what would change, and what would be restarted\n  \
    ten reload\n\n\
    The file is the one that 'ten serve' was started with, and its flags still hold.\n\
    Exit codes: 2 the file has errors or does not fit the instances there are: nothing was changed."
)]
pub(super) struct Reload {
    /// Print what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Reload {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let client = Client::new(global)?;
        let path = if self.dry_run { format!("{PATH}?dry_run=true") } else { PATH.to_owned() };
        let progress = Progress::of(global, "Taking the configuration anew".to_owned());
        let answer = client.post_file(&path);
        drop(progress);
        let plan = match answer? {
            Ok(plan) => plan,
            Err(refused) => return Err(refusal(global, &refused)?),
        };
        if global.json {
            return print_json(&plan);
        }
        for warning in plan["warnings"].as_array().into_iter().flatten().filter(|_| !global.quiet) {
            warn(warning.as_str().unwrap_or_default(), false);
        }
        global.say(&render(&plan))
    }
}

/// What the file says that is not in force, in words; nothing where it says the same or can't be used.
pub(super) fn preview(client: &Client) -> Option<String> {
    let plan = client.post_file(&format!("{PATH}?dry_run=true")).ok()?.ok()?;
    (plan["changed"] == true).then(|| changes(&plan, false))
}

/// All that is wrong with the file, as `ten config --validate` prints it.
fn refusal(global: &Global, refused: &Value) -> Result<Failure, Failure> {
    let findings: Vec<Diagnostic> =
        refused["findings"].as_array().into_iter().flatten().map(finding).collect();
    if global.json {
        print_json(refused)?;
    } else {
        for finding in &findings {
            print(&inert_lines(&format!("{FILE}:{finding}\n{}", finding.pointer())))?;
        }
    }
    let of = refused["errors"].as_array().map_or(0, Vec::len);
    let message = match findings.is_empty() {
        true => text(refused, "message"),
        false => format!("{FILE} has {}: nothing was changed; mend what is listed and try again", errors(of)),
    };
    Ok(Failure { code: EXIT_CONFIG.refused(&text(refused, "error"), 422), message })
}

fn finding(found: &Value) -> Diagnostic {
    let number = |key: &str| found[key].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(1);
    Diagnostic {
        severity: if found["severity"] == "warning" { Severity::Warning } else { Severity::Error },
        line: number("line"),
        column: number("column").max(1),
        message: text(found, "message"),
        snippet: found["snippet"].as_str().unwrap_or_default().to_owned(),
        syntax: false,
    }
}

fn inert_lines(text: &str) -> String {
    text.lines().map(inert).collect::<Vec<_>>().join("\n")
}

fn list<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of[key].as_array().into_iter().flatten()
}

fn words<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    list(of, key).filter_map(Value::as_str)
}

/// The plan for people.
fn render(plan: &Value) -> String {
    let dry_run = plan["dry_run"] == true;
    if plan["changed"] == false {
        return "Nothing to change: the file says what is in force.".to_owned();
    }
    format!("{}\n{}", changes(plan, dry_run), last(plan, dry_run))
}

fn changes(plan: &Value, dry_run: bool) -> String {
    let (services, instances) = (&plan["services"], &plan["instances"]);
    let mut lines = Vec::new();
    if list(plan, "settings").next().is_some() {
        lines.push("[settings]".to_owned());
        lines.extend(list(plan, "settings").map(setting));
    }
    lines.extend(words(services, "added").map(|name| format!("[service.{name}] is new")));
    for service in list(services, "changed") {
        lines.push(format!("[service.{}]", text(service, "service")));
        lines.extend(list(service, "settings").map(setting));
    }
    let removed = words(services, "removed");
    lines.extend(removed.map(|name| format!("[service.{name}] is gone; its data, logs and records stay")));
    lines.extend(words(instances, "declared").map(|name| format!("{name} is declared")));
    let undeclared = words(instances, "undeclared");
    lines.extend(
        undeclared.map(|name| format!("{name} is no longer declared: it stays, as one made by hand")),
    );
    let will = |done: &str| if dry_run { format!("would be {done}") } else { format!("is being {done}") };
    lines.extend(words(instances, "started").map(|name| format!("{name} {}", will("started"))));
    lines.extend(
        list(instances, "restarted")
            .map(|one| format!("{} {}: {}", text(one, "instance"), will("restarted"), text(one, "reason"))),
    );
    let ended = words(instances, "ended");
    lines.extend(ended.map(|name| format!("{name} {}, once its requests have finished", will("ended"))));
    inert_lines(&lines.join("\n"))
}

fn last(plan: &Value, dry_run: bool) -> &'static str {
    let late = list(plan, "settings").filter(|one| one["takes_effect"] == "next_start").count();
    let all_late = late > 0
        && late == list(plan, "settings").count()
        && ["services", "instances"].iter().all(|part| {
            plan[part]
                .as_object()
                .is_some_and(|part| part.values().all(|list| list.as_array().is_some_and(Vec::is_empty)))
        });
    match (dry_run, all_late) {
        (true, _) => "Nothing was changed: this was a dry run.",
        (false, true) => "Nothing was changed: that takes effect at the next start or upgrade.",
        (false, false) => "The configuration is in force.",
    }
}

fn setting(changed: &Value) -> String {
    let when = match changed["takes_effect"].as_str().unwrap_or_default() {
        "next_start" => "takes effect at the next start or upgrade",
        "restart" => "needs a restart of what runs",
        _ => "at once",
    };
    let (from, to) = (value(&changed["from"]), value(&changed["to"]));
    format!("  {}: {from} -> {to} ({when})", text(changed, "key"))
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_says_what_happens_when_and_why() {
        let mut plan = json!({
            "dry_run": true, "changed": true, "warnings": [],
            "settings": [{ "key": "listen", "from": ["a"], "to": ["b"], "takes_effect": "next_start" }],
            "services": {
                "added": ["web"], "removed": ["old"],
                "changed": [{ "service": "api", "settings": [
                    { "key": "command", "from": "./api", "to": "./api -v", "takes_effect": "restart" },
                    { "key": "idle_timeout", "from": null, "to": 5, "takes_effect": "at_once" },
                ] }],
            },
            "instances": {
                "declared": ["web:1"], "undeclared": ["api:b"], "started": ["web:1"], "ended": ["old:1"],
                "restarted": [{ "instance": "api:a", "reason": "configuration changed: command" }],
            },
        });
        let expected = "[settings]\n  listen: [\"a\"] -> [\"b\"] (takes effect at the next start or upgrade)\n\
            [service.web] is new\n[service.api]\n  command: ./api -> ./api -v (needs a restart of what runs)\n  \
            idle_timeout: none -> 5 (at once)\n[service.old] is gone; its data, logs and records stay\n\
            web:1 is declared\napi:b is no longer declared: it stays, as one made by hand\n\
            web:1 would be started\napi:a would be restarted: configuration changed: command\n\
            old:1 would be ended, once its requests have finished\nNothing was changed: this was a dry run.";
        assert_eq!(render(&plan), expected);
        plan["dry_run"] = false.into();
        let done = render(&plan);
        assert!(done.contains("api:a is being restarted") && done.ends_with("is in force."), "{done}");
        let nothing = json!({ "added": [], "removed": [], "changed": [] });
        (plan["services"], plan["instances"]) = (nothing, json!({ "started": [] }));
        assert!(render(&plan).ends_with("at the next start or upgrade."), "nothing else was changed");
        plan["changed"] = false.into();
        assert!(render(&plan).starts_with("Nothing to change"));
    }
}
