//! `ten restore`.

use std::{fs::File, io::BufReader, path::PathBuf};

use clap::Args;
use serde_json::json;
use tenement::{backup, daemon};
use tenement_runtime::clock;

use super::{Failure, Global, client::data_dir, print_json};

#[derive(Args)]
#[command(after_help = "Examples:\n  ten restore /backups/tenement.tar.zst\n  \
    ten restore --data-dir /srv/tenement tenement.tar.zst      on another machine\n\n\
    No daemon may use the data directory. What is there is kept, with names that end\n\
    with .before-restore-TIME. Either all of the backup is put in place or nothing\n\
    changes. Logs and the data of instances are not in a backup, and stay as they are.")]
pub(super) struct Restore {
    /// A file that 'ten backup' made
    file: PathBuf,
}

impl Restore {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let name = self.file.display();
        let file = File::open(&self.file).map_err(|error| Failure::general(format!("'{name}': {error}")))?;
        let dir = data_dir(global)?;
        let _claim = daemon::claim(&dir).map_err(Failure::general)?;
        let restored = backup::restore(&dir, BufReader::new(file), clock::wall())
            .map_err(|error| Failure::general(format!("'{name}': {error}")))?;
        let (manifest, suffix) = (&restored.manifest, &restored.suffix);
        if global.json {
            return print_json(&json!({
                "data_dir": dir, "time": manifest.time, "version": manifest.version, "kept_as": format!("*.{suffix}"),
            }));
        }
        global.say(&format!(
            "Restored into {}: the state of {}, by tenement {}\nWhat was there is kept as *.{suffix}. Start the daemon with 'ten serve'.",
            dir.display(),
            tenement_logs::inert(&manifest.time),
            tenement_logs::inert(&manifest.version)
        ))
    }
}
