//! `ten ps`.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{Failure, Global, client::Client, print, print_json, table};

const REFRESH: Duration = Duration::from_secs(1);
/// Clears the screen and goes to its corner: ECMA-48 `ED` and `CUP`.
const CLEAR: &[u8] = b"\x1b[2J\x1b[H";
const HEADER: [&str; 8] = ["INSTANCE", "STATUS", "HEALTH", "UPTIME", "RESTARTS", "MEMORY", "CPU", "SOCKET"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs
    Json,
    /// For spreadsheets
    Csv,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  ten ps\n  ten ps --service notes --status failed\n  ten ps -w\n  \
    ten ps --format csv --no-header\n\nMEMORY is of the whole process tree, CPU the share of one core since its start.")]
pub(super) struct Ps {
    /// Only this service
    #[arg(long)]
    service: Option<String>,
    /// Only instances in this state: starting running restarting stopping stopped sleeping failed
    #[arg(long)]
    status: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Print again every second
    #[arg(short, long)]
    watch: bool,
    /// Leave out the line of column names
    #[arg(long)]
    no_header: bool,
}

impl Ps {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let client = Client::new(global)?;
        loop {
            let list = client.get(&self.path()?)?;
            if self.watch && std::io::stdout().is_terminal() {
                std::io::stdout().write_all(CLEAR)?;
            }
            self.show(global, &list)?;
            if !self.watch {
                return Ok(());
            }
            std::thread::sleep(REFRESH);
        }
    }

    fn path(&self) -> Result<String, Failure> {
        let mut path = "/api/instances?usage=true".to_owned();
        for (key, value) in [("service", &self.service), ("status", &self.status)] {
            let Some(value) = value else { continue };
            if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
                return Err(Failure::config(format!("--{key}: '{}' can't be one", value.escape_debug())));
            }
            path.push_str(&format!("&{key}={value}"));
        }
        Ok(path)
    }

    fn show(&self, global: &Global, list: &Value) -> Result<(), Failure> {
        if global.json || self.format == Format::Json {
            return print_json(list);
        }
        let header = (!self.no_header).then(|| HEADER.map(str::to_owned).to_vec());
        let instances = list["instances"].as_array().into_iter().flatten();
        let rows: Vec<_> = header.into_iter().chain(instances.map(row)).collect();
        match self.format {
            Format::Csv => print(&table::csv(&rows)),
            _ if rows.is_empty() => Ok(()),
            _ => print(&table::render(&rows, table::width())),
        }
    }
}

fn row(instance: &Value) -> Vec<String> {
    let text = |key: &str| instance[key].as_str().unwrap_or_default().to_owned();
    let up = instance["status"] == "running";
    let when_up = |text: String| if up { text } else { "-".into() };
    vec![
        text("instance"),
        text("status"),
        text("health"),
        when_up(table::duration(instance["uptime_ms"].as_u64().unwrap_or(0))),
        instance["restart_count"].to_string(),
        when_up(format!("{:.1}M", instance["memory_mb"].as_f64().unwrap_or(0.0))),
        when_up(format!("{:.1}%", instance["cpu_percent"].as_f64().unwrap_or(0.0))),
        text("socket"),
    ]
}
