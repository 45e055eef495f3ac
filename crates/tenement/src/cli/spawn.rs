//! `ten spawn`.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};
use tenement_core::name::InstanceName;

use super::{
    Failure, Global,
    client::{Client, Error},
    instance::InstanceArg,
    output::text,
    print_json,
    progress::Progress,
    wait::{self, Deadline},
};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ten spawn notes:alice\n  ten spawn notes:alice --env PLAN=pro --env TRIAL=no\n  \
    ten spawn notes:alice --env PLAN=free --restart\n  ten spawn notes --id alice --no-wait\n\n\
    The environment belongs to the instance: restarts and wakes keep it, another --env replaces it all.\n\
    After --timeout or Ctrl-C the daemon goes on with the start.\n\
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
    /// Seconds to wait [default: the service's startup_timeout]
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds, conflicts_with = "no_wait", allow_negative_numbers = true)]
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
        let deadline = Deadline::within(self.timeout);
        let progress = Progress::of(global, format!("Starting {name}"));
        let (verb, answer) = match self.spawn(&client, &body, deadline) {
            Err(error) if error.is("conflict") && self.restart => {
                ("Restarted", self.again(&client, &name, &body, deadline)?)
            }
            Err(error) if error.is("conflict") => {
                // Whoever starts it already need not start it once more.
                let is_starting = error.to_string().ends_with("already starting");
                let hint = if is_starting {
                    "wait for it: see 'ten ps'; or begin anew with --restart"
                } else {
                    "restart it with --restart"
                };
                return Err(with_hint(error, hint));
            }
            // Another daemon has taken over meanwhile.
            Err(error) if error.is("goes_on") => ("Spawned", wait::until_running(&client, &name, deadline)?),
            other => ("Spawned", other.map_err(|error| self.in_words(&name, error))?),
        };
        drop(progress);
        if global.json {
            return print_json(&answer);
        }
        global.say(&format!("{verb} {name}\nSocket: {}", text(&answer, "socket")))
    }

    fn spawn(&self, client: &Client, body: &Value, deadline: Deadline) -> Result<Value, Error> {
        let query = if self.no_wait { "?wait=false" } else { "" };
        client.post(&format!("/api/instances{query}"), body, deadline.left())
    }

    /// Restarts it, which keeps its environment unless there is another one.
    fn again(
        &self,
        client: &Client,
        name: &InstanceName,
        body: &Value,
        deadline: Deadline,
    ) -> Result<Value, Failure> {
        let path = wait::path(name);
        if !self.env.is_empty() {
            let wait = if self.no_wait { "&wait=false" } else { "" };
            let path = format!("/api/instances?restart=true{wait}");
            return match client.post(&path, body, deadline.left()) {
                // Another daemon has taken over meanwhile.
                Err(error) if error.is("goes_on") => wait::until_running(client, name, deadline),
                other => Ok(other.map_err(|error| self.in_words(name, error))?),
            };
        }
        client.post(&format!("{path}/restart"), &Value::Null, deadline.left())?;
        if self.no_wait { Ok(client.get(&path)?) } else { wait::until_running(client, name, deadline) }
    }

    fn in_words(&self, name: &InstanceName, error: Error) -> Error {
        match (error, self.timeout) {
            (Error::TimedOut(_), Some(within)) => Error::TimedOut(wait::not_ready(name, within)),
            (error, _) => error,
        }
    }

    fn env(&self) -> Result<Map<String, Value>, Failure> {
        let pair = |text: &String| match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), Value::from(value))),
            _ => Err(Failure::config(format!(
                "--env: '{}' is not KEY=VALUE: write it as --env PLAN=pro",
                text.escape_debug()
            ))),
        };
        self.env.iter().map(pair).collect()
    }
}

fn with_hint(error: Error, hint: &str) -> Failure {
    let failure = Failure::from(error);
    Failure { message: format!("{}: {hint}", failure.message), ..failure }
}
