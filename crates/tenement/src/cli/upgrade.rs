//! `ten upgrade`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde_json::json;

use super::{Failure, Global, client::Client, output::text, print_json, progress::Progress};

const PATH: &str = "/api/upgrade";
/// The keeper gives up each of its stages earlier.
const PATIENCE: Duration = Duration::from_secs(240);

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ten upgrade                  the file that 'ten serve' was started from, replaced\n  \
    ten upgrade ./ten-0.2        another file\n\n\
    The new process reads the configuration file, looks whether it can run with it and with the\n\
    state, and only then takes over: listening sockets, instances, connections. No request fails.\n\
    Requests under way, WebSockets and downloads go on in the process that leaves, for at most ten\n\
    minutes. SIGHUP to 'ten serve' does the same.\n\
    Exit codes: 1 it could not run, and nothing has changed."
)]
pub(super) struct Upgrade {
    /// The program to go on with
    binary: Option<PathBuf>,
}

impl Upgrade {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let binary = self.binary.as_ref().map(|path| {
            path.canonicalize().map_err(|error| Failure::general(format!("'{}': {error}", path.display())))
        });
        let binary = binary.transpose()?;
        let client = Client::new(global)?;
        let progress = Progress::of(global, "Waiting for another process to take over".to_owned());
        let body = binary.map_or_else(|| json!({}), |path| json!({ "binary": path }));
        let answer = client.post(PATH, &body, Some(PATIENCE));
        drop(progress);
        let answer = answer?;
        if global.json {
            return print_json(&answer);
        }
        let (from, to) = (text(&answer, "from"), text(&answer, "to"));
        global.say(&match from == to {
            true => format!("another process of tenement {to} has taken over"),
            false => format!("tenement {to} has taken over from {from}"),
        })
    }
}
