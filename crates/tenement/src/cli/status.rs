//! `ten status`.

use clap::Args;
use serde_json::Value;

use tenement_logs::inert;

use super::{Failure, Global, client::Client, output::text, print, print_json, table};

#[derive(Args)]
#[command(after_help = "Examples:\n  ten status\n  ten --json status\n  \
    ten --server http://example.com:8000 status      a daemon elsewhere, with TENEMENT_TOKEN")]
pub(super) struct Status {}

impl Status {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let client = Client::new(global)?;
        let status = client.get("/api/status")?;
        // Also of a version that differs little: whoever looks here wants to know.
        client.warn_of_version(&text(&status, "version"));
        if global.json { print_json(&status) } else { print(&render(&status)) }
    }
}

fn render(status: &Value) -> String {
    let lost = status["lost"].as_array().into_iter().flatten();
    let lost: String =
        lost.map(|loss| format!("\nLost:      {}", inert(loss.as_str().unwrap_or_default()))).collect();
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let instances = &status["instances"];
    format!(
        "tenement {} ({}), pid {}, up {}\n\
         Instances: {} running, {} known\nMemory:    {:.1} MiB in instances\nRequests:  {}\n\
         Host:      {}\nData:      {}{lost}",
        text(status, "version"),
        text(status, "status"),
        number(&status["pid"]),
        table::duration(number(&status["uptime_ms"])),
        number(&instances["running"]),
        number(&instances["known"]),
        status["memory_mb"].as_f64().unwrap_or(0.0),
        number(&status["requests"]),
        text(status, "host"),
        text(status, "data_dir"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_in_an_answer_is_shown_as_nothing() {
        let status = json!({
            "version": "9.9", "status": "ok", "uptime_ms": 61_000, "instances": { "running": 1, "known": 3 },
            "memory_mb": 12.34, "host": "h\x1b", "lost": ["all of it"]
        });
        let expected = "tenement 9.9 (ok), pid 0, up 1m 1s\nInstances: 1 running, 3 known\n\
            Memory:    12.3 MiB in instances\nRequests:  0\nHost:      h^[\nData:      \nLost:      all of it";
        assert_eq!(render(&status), expected);
    }
}
