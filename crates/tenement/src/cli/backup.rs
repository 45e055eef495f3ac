//! `ten backup`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, IsTerminal, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;
use tenement::backup;

use super::{Failure, Global, client::Client, print_json};

#[derive(Args)]
#[command(after_help = "Examples:\n  ten backup /backups/tenement.tar.zst\n  \
    ten backup --force latest.tar.zst\n  \
    ten backup - | ssh elsewhere 'cat > tenement.tar.zst'\n\n\
    In it is what the daemon keeps for itself: instances with their environment,\n\
    tokens (as hashes), the history, how far log sinks have come, and the files\n\
    seal_key and api_token. Not in it are logs, the data of instances, and\n\
    tenement.toml: copy those by other means. It is as secret as the data directory.\n\
    'ten restore' puts it back.")]
pub(super) struct Backup {
    /// The file to make, or - for standard output
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

impl Backup {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        if self.file == Path::new("-") {
            return to_stdout(global);
        }
        let name =
            self.file.file_name().ok_or_else(|| Failure::config("name a file, or - for standard output"))?;
        match self.file.symlink_metadata() {
            Ok(there) if !there.is_file() => return Err(self.is_no_file()),
            Ok(_) if !self.force => return Err(self.exists()),
            _ => {}
        }
        let fresh = self.file.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
        let done = self.make(&fresh, global);
        if done.is_err() {
            let _ = fs::remove_file(&fresh);
        }
        let (manifest, bytes) = done?;
        if global.json {
            return print_json(&json!({ "file": self.file, "bytes": bytes, "time": manifest.time }));
        }
        global.say(&format!(
            "Backed up to {} ({bytes} bytes); logs and the data of instances are not in it",
            self.file.display()
        ))
    }

    fn make(&self, fresh: &Path, global: &Global) -> Result<(backup::Manifest, u64), Failure> {
        let failed = |error: io::Error| {
            Failure::general(format!("'{}' can't be written: {error}", self.file.display()))
        };
        let client = Client::new(global)?;
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create_new(true).mode(0o600).open(fresh).map_err(failed)?;
        client.download("/api/backup", backup::TYPE, &mut file)?.map_err(|failure| Failure {
            message: format!("'{}' can't be written: {}", self.file.display(), failure.message),
            ..failure
        })?;
        file.sync_all().map_err(failed)?;
        let bytes = file.stream_position().map_err(failed)?;
        file.rewind().map_err(failed)?;
        // Better now than on the day it is needed.
        let manifest = backup::check(BufReader::new(&file))
            .map_err(|error| Failure::general(format!("what came: {error}")))?;
        let renamed = if self.force {
            fs::rename(fresh, &self.file)
        } else {
            fs::hard_link(fresh, &self.file).and_then(|()| fs::remove_file(fresh))
        };
        match renamed {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(self.exists()),
            other => other.map_err(failed)?,
        }
        let above = self.file.parent().filter(|above| !above.as_os_str().is_empty());
        File::open(above.unwrap_or(Path::new("."))).and_then(|above| above.sync_all()).map_err(failed)?;
        Ok((manifest, bytes))
    }

    /// A device or a pipe would be replaced, not written to.
    fn is_no_file(&self) -> Failure {
        Failure::general(format!(
            "'{}' is no regular file: name another file, or - for standard output",
            self.file.display()
        ))
    }

    fn exists(&self) -> Failure {
        Failure::general(format!(
            "'{}' is there already: name another file, or add --force",
            self.file.display()
        ))
    }
}

fn to_stdout(global: &Global) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        return Err(Failure::config(
            "a backup is nothing for a terminal: name a file, or redirect standard output",
        ));
    }
    Client::new(global)?.download("/api/backup", backup::TYPE, &mut out)??;
    Ok(out.flush()?)
}
