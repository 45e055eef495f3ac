//! `ten init`: a first configuration, after a look at the folder.

mod guess;

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;
use tenement_core::{layout, name::ServiceName};

use super::{Failure, Global, print_json};
use crate::config_file;

const FILE: &str = "tenement.toml";

#[derive(Args)]
#[command(after_help = "Examples:\n  ten init\n  ten init --name notes --command 'python3 notes.py'")]
pub(super) struct Init {
    /// The service's name [default: the folder's]
    #[arg(long)]
    name: Option<String>,
    /// How the app is started [default: from what lies in the folder]
    #[arg(long)]
    command: Option<String>,
}

impl Init {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let here = std::env::current_dir().map_err(unusable)?;
        let name = self.name.clone().unwrap_or_else(|| name_of(&here));
        let name: ServiceName = name.parse().map_err(Failure::config)?;
        let (command, from) = match &self.command {
            Some(command) => (command.clone(), None),
            None => {
                let (command, from) = guess::command(&here);
                (command, Some(from))
            }
        };
        let text = text(&name, &command, from);
        check(&text)?;
        let path = global.config.clone().unwrap_or_else(|| PathBuf::from(FILE));
        let shown = path.display();
        let mut file = match File::create_new(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let next = "edit it, or name another file with --config";
                return Err(Failure::config(format!(
                    "{shown} is there already and is never overwritten: {next}"
                )));
            }
            Err(error) => {
                let next = "go to a folder you may write to, or name a file with --config";
                return Err(Failure::config(format!("can't write {shown}: {error}: {next}")));
            }
        };
        file.write_all(text.as_bytes()).map_err(|error| {
            Failure::general(format!("can't write {shown}: {error}: make room and remove it"))
        })?;
        if global.json {
            let file = path.display().to_string();
            return print_json(&json!({ "file": file, "service": name.as_str(), "command": command }));
        }
        let named = global.config.as_ref().map(|_| format!(" {shown}")).unwrap_or_default();
        global.say(&format!(
            "Wrote {shown}. Look at the command in it, then check it with: ten config --validate{named}"
        ))
    }
}

fn unusable(error: io::Error) -> Failure {
    Failure::general(format!("this folder can't be used: {error}"))
}

/// The folder's name, made into a service's.
fn name_of(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = name.chars().map(plain).take(63).collect();
    let name = name.trim_matches('-');
    if name.is_empty() || layout::is_own(name) { "app".into() } else { name.to_owned() }
}

/// A file that this very program would refuse is not written.
fn check(text: &str) -> Result<(), Failure> {
    let parsed = config_file::check(text.as_bytes(), Path::new(FILE)).map_err(unusable)?;
    let wrong = parsed.diagnostics.iter().find(|finding| finding.is_error());
    wrong.map_or(Ok(()), |wrong| Err(Failure::config(format!("nothing was written: {}", wrong.message))))
}

fn text(name: &ServiceName, command: &str, from: Option<&str>) -> String {
    let guessed = from.map(|from| format!("# The command is a guess, from {from}.\n")).unwrap_or_default();
    let quoted = toml_text(command);
    format!(
        "# What tenement runs. Check this file with: ten config --validate\n\n\
         [settings]\n# Instances are reached at {{id}}.{name}.{{domain}}\n# domain = \"localhost\"\n\n\
         [service.{name}]\n# The app listens on $SOCKET_PATH (a Unix socket) or on 127.0.0.1:$PORT.\n\
         # Its own files belong into $DATA_DIR.\n{guessed}command = {quoted}\n\
         # A path that answers 2xx when the app is well:\n# health = \"/health\"\n\
         # Without a request for so long it sleeps; the next request wakes it:\n# idle_timeout = \"5m\"\n\n\
         [service.{name}.env]\n# LOG_LEVEL = \"info\"\n\n\
         # Known from the start:\n[instances]\n{name} = [\"demo\"]\n"
    )
}

/// A TOML basic string: <https://toml.io/en/v1.0.0#string>.
fn toml_text(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}
