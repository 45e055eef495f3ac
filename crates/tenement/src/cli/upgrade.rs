//! `ten upgrade`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde_json::json;

use super::{Failure, Global, client::Client, output::text, print_json, progress::Progress, reload};

const PATH: &str = "/api/upgrade";
/// Stages that each have the time-out, and one to fall back.
const STAGES: u32 = 4;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ten upgrade                  the file that the daemon was started from, replaced\n  \
    ten upgrade ./ten-0.2        another file\n\n\
    The new process reads the configuration file, looks whether it can run with it and with the\n\
    state, and only then takes over: listening sockets, instances, connections. No request fails.\n\
    Requests under way, WebSockets and downloads go on in the process that leaves, for at most ten\n\
    minutes. A file that has changed is then taken as by 'ten reload'. SIGHUP to 'ten serve' does\n\
    the same.\n\
    Exit codes: 1 it could not run, and nothing has changed."
)]
pub(super) struct Upgrade {
    /// The program to go on with
    binary: Option<PathBuf>,
    /// What the new process has to look whether it can run, and to take over; up to 600
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

impl Upgrade {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let binary = self.binary.as_ref().map(|path| {
            path.canonicalize().map_err(|error| Failure::general(format!("'{}': {error}", path.display())))
        });
        let binary = binary.transpose()?;
        let client = Client::new(global)?;
        let changes = if global.json { None } else { reload::preview(&client) };
        let progress = Progress::of(global, "Waiting for another process to take over".to_owned());
        let mut body = json!({ "timeout": self.timeout });
        if let Some(path) = binary {
            body["binary"] = json!(path);
        }
        let patience = Duration::from_secs(self.timeout.max(60)) * STAGES;
        let answer = client.post(PATH, &body, Some(patience));
        drop(progress);
        let answer = answer?;
        if global.json {
            return print_json(&answer);
        }
        let (from, to) = (text(&answer, "from"), text(&answer, "to"));
        global.say(&match from == to {
            true => format!("another process of tenement {to} has taken over"),
            false => format!("tenement {to} has taken over from {from}"),
        })?;
        match changes {
            None => Ok(()),
            Some(changes) => {
                global.say(&format!("It takes the changed configuration as 'ten reload' does:\n{changes}"))
            }
        }
    }
}
