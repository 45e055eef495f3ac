//! `ten restart`.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tenement_core::name::InstanceName;

use super::{
    Failure, Global,
    client::Client,
    instance::{InstancesArg, interrupted, named},
    print_json,
    progress::Progress,
    wait::{self, Deadline},
};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ten restart notes:alice\n  ten restart notes:alice notes:bob --wait --timeout 20\n\n\
    Exit codes: 3 no such instance, 5 not running in time (the daemon goes on with it)."
)]
pub(super) struct Restart {
    #[command(flatten)]
    instances: InstancesArg,
    /// Wait until they run again
    #[arg(long)]
    wait: bool,
    /// Seconds to wait for each
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds, default_value = "30", allow_negative_numbers = true)]
    timeout: Duration,
}

impl Restart {
    /// Goes on after a failure; the first one decides the exit code.
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let names = self.instances.names()?;
        let client = Client::new(global)?;
        let (mut answers, mut first) = (Vec::new(), Ok(()));
        for (at, name) in names.iter().enumerate() {
            let progress = Progress::of(global, format!("Restarting {name}"));
            let restarted = self.restart(&client, name);
            drop(progress);
            match restarted {
                Ok(answer) => {
                    answers.push(answer);
                    global.say(&format!("Restarted {name}"))?;
                }
                Err(failure) => {
                    if !global.go_on(interrupted(named(failure, name), &names[at..]), &mut first) {
                        break;
                    }
                }
            }
        }
        if global.json {
            print_json(&json!(answers))?;
        }
        first
    }

    fn restart(&self, client: &Client, name: &InstanceName) -> Result<Value, Failure> {
        let deadline = Deadline::within(Some(self.timeout));
        let path = format!("{}/restart", wait::path(name));
        let answer = client.post(&path, &Value::Null, deadline.left())?;
        if self.wait { wait::until_running(client, name, deadline) } else { Ok(answer) }
    }
}
