//! `ten metrics`.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use serde_json::Value;
use tenement_core::name::InstanceName;

use super::{
    Failure, Global,
    client::Client,
    instance,
    output::{print, text},
    table,
    watch::watch,
};

const HEADER: [&str; 9] =
    ["INSTANCE", "UPTIME", "MEMORY", "CPU", "REQUESTS", "REQ/S", "ERRORS", "ERROR%", "CHECKS"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For Prometheus: the text of /metrics
    Prometheus,
    /// For programs
    Json,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  ten metrics\n  ten metrics notes:alice\n  ten metrics -w\n  \
    ten metrics --format json | jq '.instances[].memory_mb'\n  ten metrics --format prometheus > metrics.txt\n\n\
    MEMORY is of the whole process tree, CPU the share of one core since the last look. REQ/S is over\n\
    the last minute. ERRORS are answers of 500 and above. CHECKS are health checks: passed of all.\n\
    --format prometheus with an instance shows that instance's series only.")]
pub(super) struct Metrics {
    /// The instance, as SERVICE:ID [default: all]
    instance: Option<String>,
    /// The id, when the instance is given as SERVICE alone
    #[arg(long, requires = "instance")]
    id: Option<String>,
    /// How to print [default: table on a terminal and with --watch, else prometheus]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Print again every second, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
}

impl Metrics {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let parse = |text| instance::parse(text, self.id.as_deref());
        let name = self.instance.as_deref().map(parse).transpose()?;
        let format = self.format(global);
        let client = Client::new(global)?;
        let picture = || picture(&client, name.as_ref(), format, self.watch);
        if self.watch {
            return watch(global, &client, picture);
        }
        print(&picture()?)
    }

    fn format(&self, global: &Global) -> Format {
        match self.format {
            _ if global.json => Format::Json,
            Some(format) => format,
            None if self.watch || std::io::stdout().is_terminal() => Format::Table,
            None => Format::Prometheus,
        }
    }
}

/// `again`: another one follows.
fn picture(
    client: &Client,
    name: Option<&InstanceName>,
    format: Format,
    again: bool,
) -> Result<String, Failure> {
    let path = match name {
        Some(name) => format!("/api/metrics/{}/{}", name.service.as_str(), name.id.as_str()),
        None => "/api/metrics".to_owned(),
    };
    if format == Format::Prometheus {
        // One that is not there is told, and not answered with nothing.
        if name.is_some() {
            client.get(&path)?;
        }
        let all = client.get_text("/metrics")?;
        return Ok(name.map_or(all.trim_end().to_owned(), |name| of_instance(&all, name)));
    }
    let answer = client.get(&path)?;
    if format == Format::Json && again {
        // One document on each line, so that a program can tell them apart.
        return Ok(answer.to_string());
    }
    if format == Format::Json {
        return Ok(serde_json::to_string_pretty(&answer).unwrap_or_default());
    }
    let one = std::slice::from_ref(&answer);
    let instances = answer["instances"].as_array().map_or(one, Vec::as_slice);
    let rows: Vec<_> =
        [HEADER.map(str::to_owned).to_vec()].into_iter().chain(instances.iter().map(row)).collect();
    Ok(table::render(&rows, table::width()))
}

fn row(metrics: &Value) -> Vec<String> {
    let float = |key: &str| metrics[key].as_f64().unwrap_or(0.0);
    let whole = |value: &Value| value.as_u64().unwrap_or(0).to_string();
    let checks = &metrics["health_checks"];
    vec![
        text(metrics, "instance"),
        table::duration((float("uptime_seconds") * 1000.0) as u64),
        format!("{:.1}M", float("memory_mb")),
        format!("{:.1}%", float("cpu_percent")),
        whole(&metrics["requests_total"]),
        format!("{:.1}", float("requests_per_second")),
        whole(&metrics["errors_total"]),
        format!("{:.2}", float("error_rate")),
        format!("{}/{}", whole(&checks["passed"]), whole(&checks["total"])),
    ]
}

/// The series of one instance, each family with its help and type.
fn of_instance(all: &str, name: &InstanceName) -> String {
    let (service, id) = (name.service.as_str(), name.id.as_str());
    let whole = format!("instance=\"{name}\"");
    let parts = [format!("service=\"{service}\""), format!("instance=\"{id}\"")];
    let is_its = |sample: &str| {
        let labels =
            sample.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map(|(labels, _)| labels);
        let labels: Vec<&str> = labels.unwrap_or_default().split(',').collect();
        let has = |label: &String| labels.contains(&label.as_str());
        has(&whole) || parts.iter().all(has)
    };
    let (mut kept, mut about) = (Vec::new(), Vec::new());
    let mut last_was_sample = false;
    for line in all.lines() {
        if line.starts_with('#') {
            if last_was_sample {
                about.clear();
            }
            about.push(line);
        } else if is_its(line) {
            kept.append(&mut about);
            kept.push(line);
        }
        last_was_sample = !line.starts_with('#');
    }
    kept.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_shows_what_there_is() {
        let metrics = json!({
            "instance": "api:a\x1b", "uptime_seconds": 125.456, "memory_mb": 120.54, "cpu_percent": 12.3,
            "requests_total": 1523, "requests_per_second": 12.2, "errors_total": 2, "error_rate": 0.13,
            "health_checks": { "total": 12, "passed": 11, "failed": 1 }
        });
        let shown = ["api:a^[", "2m 5s", "120.5M", "12.3%", "1523", "12.2", "2", "0.13", "11/12"];
        assert_eq!(row(&metrics), shown);
        assert_eq!(row(&json!({}))[1..], ["0s", "0.0M", "0.0%", "0", "0.0", "0", "0.00", "0/0"]);
    }

    #[test]
    fn the_series_of_one_instance_keep_what_is_said_of_them() {
        let all = "# HELP a A\n# TYPE a counter\na{service=\"api\",instance=\"x\"} 1\na{service=\"api\",instance=\"y\"} 2\n\
            # HELP b B\n# TYPE b gauge\nb 3\n# HELP c C\n# TYPE c gauge\nc{instance=\"api:x\",le=\"1\"} 4\n\
            c{service=\"web\",instance=\"x\"} 5\n# EOF\n";
        let kept = of_instance(all, &"api:x".parse().unwrap());
        let expected = "# HELP a A\n# TYPE a counter\na{service=\"api\",instance=\"x\"} 1\n\
            # HELP c C\n# TYPE c gauge\nc{instance=\"api:x\",le=\"1\"} 4";
        assert_eq!(kept, expected);
    }
}
