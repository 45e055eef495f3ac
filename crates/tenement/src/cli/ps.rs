//! `ten ps`.

use clap::{Args, ValueEnum, builder::PossibleValuesParser};
use serde_json::Value;
use tenement_core::{name::ServiceName, view::Status};

use super::{
    Failure, Global,
    client::Client,
    output::{print, text},
    service, table,
    watch::watch,
};

const HEADER: [&str; 8] = ["INSTANCE", "STATUS", "HEALTH", "UPTIME", "RESTARTS", "MEMORY", "CPU", "SOCKET"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs
    Json,
    /// For spreadsheets: UPTIME in seconds, MEMORY in MiB, CPU in percent
    Csv,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  ten ps\n  ten ps --service notes --status failed\n  ten ps -w\n  \
    ten ps --format csv --no-header\n\nMEMORY is of the whole process tree, CPU the share of one core since its start.\n\
    Tables are cut to the terminal's width, or to COLUMNS.")]
pub(super) struct Ps {
    /// Only this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only instances in this state
    #[arg(long, value_parser = PossibleValuesParser::new(Status::ALL.iter().map(|status| status.as_str())))]
    status: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Print again every second, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    /// Leave out the line of column names
    #[arg(long)]
    no_header: bool,
}

impl Ps {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let path = self.path()?;
        let client = Client::new(global)?;
        let picture = || Ok(self.shown(global, &client.get(&path)?));
        if self.watch {
            return watch(global, &client, picture);
        }
        let list = client.get(&path)?;
        if let Some(service) = &self.service
            && list["instances"].as_array().is_some_and(Vec::is_empty)
        {
            service::check(&client, service)?;
        }
        let text = self.shown(global, &list);
        if text.is_empty() { Ok(()) } else { print(&text) }
    }

    fn path(&self) -> Result<String, Failure> {
        let mut path = "/api/instances?usage=true".to_owned();
        if let Some(service) = &self.service {
            let service: ServiceName = service.parse().map_err(Failure::config)?;
            path.push_str(&format!("&service={}", service.as_str()));
        }
        if let Some(status) = &self.status {
            path.push_str(&format!("&status={status}"));
        }
        Ok(path)
    }

    fn shown(&self, global: &Global, list: &Value) -> String {
        let format = if global.json { Format::Json } else { self.format };
        let header = (!self.no_header).then(|| HEADER.map(str::to_owned).to_vec());
        let instances = list["instances"].as_array().into_iter().flatten();
        let rows = |row: fn(&Value) -> Vec<String>| -> Vec<_> {
            header.into_iter().chain(instances.map(row)).collect()
        };
        match format {
            // One document on each line, so that a program can tell them apart.
            Format::Json if self.watch => list.to_string(),
            Format::Json => serde_json::to_string_pretty(list).unwrap_or_default(),
            Format::Csv => table::csv(&rows(record)),
            Format::Table => table::render(&rows(row), table::width()),
        }
    }
}

/// For people.
fn row(instance: &Value) -> Vec<String> {
    let number = |key: &str| instance[key].as_f64().unwrap_or(0.0);
    cells(
        instance,
        "-",
        [
            table::duration(instance["uptime_ms"].as_u64().unwrap_or(0)),
            format!("{:.1}M", number("memory_mb")),
            format!("{:.1}%", number("cpu_percent")),
        ],
    )
}

/// For programs: numbers without a unit, nothing where there is nothing.
fn record(instance: &Value) -> Vec<String> {
    let number = |key: &str| instance[key].as_f64().unwrap_or(0.0);
    let seconds = format!("{:.3}", number("uptime_ms") / 1000.0);
    cells(instance, "", [seconds, number("memory_mb").to_string(), number("cpu_percent").to_string()])
}

fn cells(instance: &Value, none: &str, when_up: [String; 3]) -> Vec<String> {
    let up = instance["status"] == "running";
    let [uptime, memory, cpu] = when_up.map(|text| if up { text } else { none.to_owned() });
    let restarts = instance["restart_count"].as_u64().unwrap_or(0).to_string();
    let word = |key| text(instance, key);
    vec![word("instance"), word("status"), word("health"), uptime, restarts, memory, cpu, word("socket")]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn instance(status: &str) -> Value {
        json!({
            "instance": "api:a", "status": status, "health": "healthy", "uptime_ms": 61_500, "restart_count": 2,
            "memory_mb": 12.34, "cpu_percent": 0.5, "socket": "/a,b\x1b.sock",
        })
    }

    #[test]
    fn rows_are_for_people_and_records_for_programs() {
        let people = ["api:a", "running", "healthy", "1m 1s", "2", "12.3M", "0.5%", "/a,b^[.sock"];
        assert_eq!(row(&instance("running")), people);
        let asleep = ["api:a", "sleeping", "healthy", "-", "2", "-", "-", "/a,b^[.sock"];
        assert_eq!(row(&instance("sleeping")), asleep);
        let programs = ["api:a", "running", "healthy", "61.500", "2", "12.34", "0.5", "/a,b^[.sock"];
        assert_eq!(record(&instance("running")), programs);
        assert_eq!(record(&instance("failed"))[3], "");
    }
}
