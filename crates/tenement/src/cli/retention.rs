//! `ten retention`.

use clap::Args;
use serde_json::{Value, json};

use super::{
    Failure, Global,
    client::Client,
    output::{print, print_json, text},
    table,
};

const PATH: &str = "/api/logs/retention";
const HEADER: [&str; 7] = ["SERVICE", "RETENTION", "MAX SIZE", "RATE LIMIT", "INSTANCES", "BYTES", "OLDEST"];

#[derive(Args)]
#[command(after_help = "Examples:\n  ten retention            what is in force, and what is kept\n  \
    ten retention --apply    after a change of log_* in tenement.toml\n\n\
    RETENTION, MAX SIZE and RATE LIMIT hold for each instance. With --apply, a file with errors\n\
    changes nothing, and what is too much by the new limits goes at once.")]
pub(super) struct Retention {
    /// Take the keys log_* anew from the daemon's configuration file, and nothing else of it
    #[arg(long)]
    apply: bool,
    /// Leave out the line of column names
    #[arg(long)]
    no_header: bool,
}

impl Retention {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let client = Client::new(global)?;
        let kept = if self.apply { client.post(PATH, &json!({}), None)? } else { client.get(PATH)? };
        if global.json {
            return print_json(&kept);
        }
        let header = (!self.no_header).then(|| HEADER.map(str::to_owned).to_vec());
        let services = kept["services"].as_array().into_iter().flatten();
        let rows: Vec<_> = header.into_iter().chain(services.map(row)).chain([all(&kept)]).collect();
        print(&table::render(&rows, table::width()))
    }
}

fn row(service: &Value) -> Vec<String> {
    let rate = service["log_rate_limit"].as_u64().map_or("-".to_owned(), |lines| format!("{lines}/s"));
    vec![
        text(service, "service"),
        table::duration((service["log_retention"].as_f64().unwrap_or(0.0) * 1e3) as u64),
        size(&service["log_max_size"]),
        rate,
        service["instances"].to_string(),
        size(&service["bytes"]),
        oldest(service),
    ]
}

/// The line of all services together.
fn all(kept: &Value) -> Vec<String> {
    let dash = || "-".to_owned();
    vec![
        "(all)".into(),
        dash(),
        size(&kept["log_max_size"]),
        dash(),
        dash(),
        size(&kept["bytes"]),
        oldest(kept),
    ]
}

fn oldest(of: &Value) -> String {
    if of["oldest"].is_string() { text(of, "oldest") } else { "-".to_owned() }
}

/// In the largest unit that leaves a figure before the point.
fn size(bytes: &Value) -> String {
    let bytes = bytes.as_u64().unwrap_or(0);
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) => format!("{:.1} {unit}", bytes as f64 / (1_u64 << shift) as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_is_kept() {
        let service = json!({
            "service": "api", "log_retention": 604_800.0, "log_max_size": 1 << 30, "log_rate_limit": 1000,
            "instances": 2, "bytes": 1536, "oldest": null
        });
        assert_eq!(row(&service), ["api", "7d 0h", "1.0 GiB", "1000/s", "2", "1.5 KiB", "-"]);
        assert_eq!(all(&json!({ "log_max_size": 5, "bytes": 0, "oldest": "t" }))[5..], ["0 B", "t"]);
    }
}
