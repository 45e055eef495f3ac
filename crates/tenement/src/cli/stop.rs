//! `ten stop`.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;
use serde_json::{Value, json};
use tenement_core::name::InstanceName;

use super::{
    Failure, Global,
    client::Client,
    instance::{InstancesArg, interrupted, named},
    print_json,
    progress::Progress,
    wait,
};

/// Stands for every instance.
const ALL: &str = "all";

#[derive(Args)]
#[command(after_help = "Examples:\n  ten stop notes:alice            end and forget it; its data stays\n  \
    ten stop notes:alice --keep     end it, and let nothing wake it until it is spawned again\n  \
    ten stop notes:alice --purge    end it and erase its data and logs\n  \
    ten stop all                    every instance; asks first\n  \
    ten stop all --yes              the same in a script\n\n\
    After Ctrl-C the daemon goes on with the stop under way; those after it are left alone.")]
pub(super) struct Stop {
    #[command(flatten)]
    instances: InstancesArg,
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
        if !self.instances.is_word(ALL)? {
            let names = self.instances.names()?;
            return self.stop(global, &Client::new(global)?, &names, false);
        }
        self.confirm()?;
        let client = Client::new(global)?;
        let names = known(&client)?;
        self.stop(global, &client, &names, true)
    }

    /// Goes on after a failure; the first one decides the exit code. `may_be_gone`: they were only listed,
    /// so one that somebody else stopped meanwhile is what was wanted.
    fn stop(
        &self,
        global: &Global,
        client: &Client,
        names: &[InstanceName],
        may_be_gone: bool,
    ) -> Result<(), Failure> {
        let query = match (self.keep, self.purge) {
            (true, _) => "?keep=true",
            (_, true) => "?purge=true",
            _ => "",
        };
        let (mut answers, mut first) = (Vec::new(), Ok(()));
        for (at, name) in names.iter().enumerate() {
            let progress = Progress::of(global, format!("Stopping {name}"));
            let stopped = client.delete(&format!("{}{query}", wait::path(name)));
            drop(progress);
            match stopped {
                Ok(answer) => {
                    answers.push(answer);
                    global.say(&format!("Stopped {name}"))?;
                }
                Err(error) if may_be_gone && error.is("instance_not_found") => {}
                Err(error) => {
                    if !global.go_on(interrupted(named(error.into(), name), &names[at..]), &mut first) {
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

    fn confirm(&self) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::config("'stop all' needs --yes where nobody can be asked"));
        }
        let what = if self.purge {
            "Stop every instance and erase its data and logs?"
        } else {
            "Stop every instance?"
        };
        let mut terminal = io::stderr();
        write!(terminal, "{what} [y/N] ")?;
        terminal.flush()?;
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
