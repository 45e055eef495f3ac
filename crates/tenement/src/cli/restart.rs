//! `ten restart`.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use tenement_core::name::InstanceName;

use super::{EXIT_TIMEOUT, Failure, Global, client::Client, instance, print_json};

/// Between two looks at an instance that is to become ready.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ten restart notes:alice\n  ten restart notes:alice notes:bob --wait --timeout 20"
)]
pub(super) struct Restart {
    /// The instances, as SERVICE:ID
    #[arg(required = true, value_name = "INSTANCE")]
    instances: Vec<String>,
    /// The id, when one instance is given as SERVICE alone
    #[arg(long)]
    id: Option<String>,
    /// Wait until they run again
    #[arg(long)]
    wait: bool,
    /// Seconds to wait
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds, default_value = "30")]
    timeout: Duration,
}

impl Restart {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let parse = |text: &String| instance::parse(text, self.id.as_deref());
        let names: Vec<InstanceName> = self.instances.iter().map(parse).collect::<Result<_, _>>()?;
        let client = Client::new(global)?;
        let mut answers = Vec::new();
        for name in &names {
            let path = format!("/api/instances/{}/{}/restart", name.service.as_str(), name.id.as_str());
            let mut answer = client.post(&path, &Value::Null, None)?;
            if self.wait {
                answer = self.until_running(&client, name)?;
            }
            answers.push(answer);
            global.say(&format!("Restarted {name}"))?;
        }
        if global.json { print_json(&json!(answers)) } else { Ok(()) }
    }

    fn until_running(&self, client: &Client, name: &InstanceName) -> Result<Value, Failure> {
        let begun = tenement_runtime::clock::instant();
        loop {
            let path = format!("/api/instances/{}/{}", name.service.as_str(), name.id.as_str());
            let view = client.get(&path)?;
            match view["status"].as_str().unwrap_or_default() {
                "running" => return Ok(view),
                "failed" | "stopped" => {
                    let reason = view["reason"].as_str().unwrap_or("no reason is known");
                    return Err(Failure::general(format!("{name} did not start: {reason}")));
                }
                _ => wait(begun, self.timeout, name)?,
            }
        }
    }
}

fn wait(begun: Instant, within: Duration, name: &InstanceName) -> Result<(), Failure> {
    if begun.elapsed() > within {
        let seconds = within.as_secs_f64();
        let message =
            format!("{name} is not ready after {seconds} s; the daemon goes on with it: see 'ten ps'");
        return Err(Failure { code: EXIT_TIMEOUT, message });
    }
    std::thread::sleep(LOOK);
    Ok(())
}
