//! `ten health`.

use clap::Args;
use serde_json::json;

use super::{EXIT_FAILURE, Failure, Global, client::Client, instance::InstanceArg, print, print_json};

#[derive(Args)]
#[command(after_help = "Examples:\n  ten health notes:alice\n  ten health notes:alice && echo well")]
pub(super) struct HealthOf {
    #[command(flatten)]
    instance: InstanceArg,
}

impl HealthOf {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let name = self.instance.name()?;
        let path = format!("/api/instances/{}/{}", name.service.as_str(), name.id.as_str());
        let view = Client::new(global)?.get(&path)?;
        let health = view["health"].as_str().unwrap_or("unknown");
        if global.json {
            print_json(&json!({ "instance": name.to_string(), "health": health, "status": view["status"] }))?;
        } else {
            print(&format!("{name}: {health}"))?;
        }
        // The line above says it all.
        let unwell = Failure {
            code: EXIT_FAILURE,
            message: format!("{name} is {}", view["status"].as_str().unwrap_or("unknown")),
        };
        if health == "healthy" { Ok(()) } else { Err(unwell) }
    }
}
