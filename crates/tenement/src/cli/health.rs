//! `ten health`.

use clap::Args;
use serde_json::json;

use super::{Failure, Global, client::Client, instance::InstanceArg, output::text, print, print_json, wait};

#[derive(Args)]
#[command(after_help = "Examples:\n  ten health notes:alice\n  ten health notes:alice && echo well\n\n\
    Exit codes: 0 healthy, 1 anything else, 3 no such instance.")]
pub(super) struct HealthOf {
    #[command(flatten)]
    instance: InstanceArg,
}

impl HealthOf {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let name = self.instance.name()?;
        let view = Client::new(global)?.get(&wait::path(&name))?;
        let health = text(&view, "health");
        if global.json {
            let answer = json!({ "instance": name.to_string(), "health": health, "status": view["status"] });
            print_json(&answer)?;
        } else if !global.quiet {
            print(&format!("{name}: {health}"))?;
        }
        if health == "healthy" {
            return Ok(());
        }
        let status = text(&view, "status");
        Err(Failure::general(format!("{name} is {status}, its health {health}: see 'ten logs {name}'")))
    }
}
