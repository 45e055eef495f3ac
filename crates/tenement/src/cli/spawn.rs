//! `ten spawn`.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use super::{Failure, Global, client::Client, client::Error, instance::InstanceArg, print_json};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ten spawn notes:alice\n  ten spawn notes:alice --env PLAN=pro --env TRIAL=no\n  \
    ten spawn notes --id alice --no-wait\n\n\
    The environment belongs to the instance: restarts and wakes keep it.\n\
    Exit codes: 4 already running (see --restart), 5 not ready in time, 127 command not found."
)]
pub(super) struct Spawn {
    #[command(flatten)]
    instance: InstanceArg,
    /// A variable of this instance's environment; may be repeated
    #[arg(long = "env", value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// Restart it if it is running already
    #[arg(long)]
    restart: bool,
    /// Return at once, without waiting until it is ready
    #[arg(long)]
    no_wait: bool,
    /// Seconds to wait
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    timeout: Option<Duration>,
}

impl Spawn {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let name = self.instance.name()?;
        let mut body = json!({ "service": name.service.as_str(), "id": name.id.as_str() });
        if !self.env.is_empty() {
            body["env"] = self.env()?.into();
        }
        let client = Client::new(global)?;
        let path = if self.no_wait { "/api/instances?wait=false" } else { "/api/instances" };
        let answer = match client.post(path, &body, self.timeout) {
            Err(Error::Refused { code, .. }) if code == "conflict" && self.restart => {
                let (service, id) = (name.service.as_str(), name.id.as_str());
                client.post(&format!("/api/instances/{service}/{id}/restart"), &Value::Null, self.timeout)?;
                client.get(&format!("/api/instances/{service}/{id}"))?
            }
            other => other?,
        };
        if global.json {
            return print_json(&answer);
        }
        let verb = if answer["status"] == "restarting" { "Restarted" } else { "Spawned" };
        global.say(&format!("{verb} {name}\nSocket: {}", answer["socket"].as_str().unwrap_or_default()))
    }

    fn env(&self) -> Result<Map<String, Value>, Failure> {
        let pair = |text: &String| match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), Value::from(value))),
            _ => Err(Failure::config(format!("--env: '{}' is not KEY=VALUE", text.escape_debug()))),
        };
        self.env.iter().map(pair).collect()
    }
}
