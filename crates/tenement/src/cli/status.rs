//! `ten status`.

use clap::Args;

use super::{Failure, Global, client::Client, print, print_json, table};

#[derive(Args)]
pub(super) struct Status {}

impl Status {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let status = Client::new(global)?.get("/api/status")?;
        if global.json {
            return print_json(&status);
        }
        let text = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| status[key].as_u64().unwrap_or(0);
        print(&format!(
            "tenement {} ({}), pid {}, up {}\n\
             Instances: {} running, {} known\nMemory:    {} MiB in instances\nRequests:  {}\n\
             Host:      {}\nData:      {}",
            text("version"),
            text("status"),
            number("pid"),
            table::duration(number("uptime_ms")),
            status["instances"]["running"],
            status["instances"]["known"],
            status["memory_mb"],
            number("requests"),
            text("host"),
            text("data_dir"),
        ))
    }
}
