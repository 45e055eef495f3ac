//! `ten logs reindex`.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::cli::{
    Failure, Global,
    client::Client,
    output::{print, print_json},
    progress::Progress,
};

/// Between two looks at how much is left.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Args)]
#[command(after_help = "Examples:\n  ten logs reindex\n  ten logs reindex --no-wait\n\n\
    Every line is found all the time, only slower where there is no index. An index that is missing\n\
    or damaged is made again without this.")]
pub(super) struct Reindex {
    /// Come back at once; the daemon goes on
    #[arg(long)]
    no_wait: bool,
}

impl Reindex {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let client = Client::new(global)?;
        let begun = client.post("/api/logs/reindex", &json!({}), None)?;
        let all = begun["unindexed_bytes"].as_u64().unwrap_or(0);
        if !self.no_wait {
            let progress = Progress::of(global, "Indexing logs".to_owned());
            loop {
                let left = client.get("/api/logs/retention")?["unindexed_bytes"].as_u64().unwrap_or(0);
                if left == 0 {
                    break;
                }
                let percent = 100 * all.saturating_sub(left) / all.max(1);
                progress.say(format!("Indexing logs: {percent} % of {} MiB", all.div_ceil(1 << 20)));
                client.pause(LOOK)?;
            }
        }
        if global.json {
            return print_json(&begun);
        }
        let done = if self.no_wait { "are being made" } else { "made" };
        print(&format!("Indexes of {} MiB of log lines {done}", all.div_ceil(1 << 20)))
    }
}
