//! `ten stop`.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;
use serde_json::{Value, json};
use tenement_core::name::InstanceName;

use super::{Failure, Global, client::Client, instance, print_json};

#[derive(Args)]
#[command(after_help = "Examples:\n  ten stop notes:alice            end and forget it; its data stays\n  \
    ten stop notes:alice --keep     end it, and let nothing wake it until it is spawned again\n  \
    ten stop notes:alice --purge    end it and erase its data and logs\n  \
    ten stop all                    every instance; asks first")]
pub(super) struct Stop {
    /// The instances, as SERVICE:ID, or 'all'
    #[arg(required = true, value_name = "INSTANCE")]
    instances: Vec<String>,
    /// The id, when one instance is given as SERVICE alone
    #[arg(long)]
    id: Option<String>,
    /// Keep it known as stopped
    #[arg(long, conflicts_with = "purge")]
    keep: bool,
    /// Erase its data and logs
    #[arg(long)]
    purge: bool,
    /// Don't ask
    #[arg(long, short)]
    yes: bool,
}

impl Stop {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        if self.id.is_some() && self.instances.len() > 1 {
            return Err(Failure::config("--id goes with one instance: write the others as SERVICE:ID"));
        }
        let all = self.instances.iter().any(|text| text == "all");
        let client = Client::new(global)?;
        let names = if all {
            self.confirm()?;
            known(&client)?
        } else {
            let parse = |text: &String| instance::parse(text, self.id.as_deref());
            self.instances.iter().map(parse).collect::<Result<_, _>>()?
        };
        self.stop(global, &client, &names)
    }

    /// Goes on after a failure; the first one decides the exit code.
    fn stop(&self, global: &Global, client: &Client, names: &[InstanceName]) -> Result<(), Failure> {
        let query = match (self.keep, self.purge) {
            (true, _) => "?keep=true",
            (_, true) => "?purge=true",
            _ => "",
        };
        let (mut answers, mut failures) = (Vec::new(), Vec::new());
        for name in names {
            let path = format!("/api/instances/{}/{}{query}", name.service.as_str(), name.id.as_str());
            match client.delete(&path) {
                Ok(answer) => {
                    answers.push(answer);
                    global.say(&format!("Stopped {name}"))?;
                }
                Err(error) => failures.push(Failure::from(error)),
            }
        }
        if global.json {
            print_json(&json!(answers))?;
        }
        let mut failures = failures.into_iter();
        let Some(first) = failures.next() else { return Ok(()) };
        failures.for_each(|failure| failure.tell(global.json));
        Err(first)
    }

    fn confirm(&self) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::config("'stop all' needs --yes where nobody can be asked"));
        }
        eprint!("Stop every instance? [y/N] ");
        io::stderr().flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        let agreed = matches!(answer.trim(), "y" | "Y" | "yes");
        if agreed { Ok(()) } else { Err(Failure::general("nothing was stopped")) }
    }
}

fn known(client: &Client) -> Result<Vec<InstanceName>, Failure> {
    let list = client.get("/api/instances")?;
    let names = list["instances"].as_array().into_iter().flatten();
    names
        .filter_map(|one| one.get("instance").and_then(Value::as_str))
        .map(|text| text.parse().map_err(Failure::general))
        .collect()
}
