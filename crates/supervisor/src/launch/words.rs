//! Why a start failed, as it may be told to everybody who may see the instance: with names as the configuration has
//! them, and without paths of this host. The whole story is in the daemon's log.

use std::{io, path::Path};

use tenement_runtime::process::SpawnError;

/// `command` is the first word of the service's command, as it is written.
pub(super) fn of_spawn(error: &SpawnError, command: &str) -> String {
    match error {
        SpawnError::CommandNotFound { searched, .. } => {
            let place = if searched.is_some() { " in the PATH of its environment" } else { "" };
            format!("command not found: '{command}'{place}")
        }
        SpawnError::InterpreterMissing { interpreter: Some(interpreter), .. } => {
            let name = interpreter.rsplit('/').next().unwrap_or_default();
            format!("'{command}' can't run: the interpreter '{name}' of its first line does not exist")
        }
        SpawnError::InterpreterMissing { interpreter: None, .. } => {
            format!("'{command}' can't run: the dynamic loader it was linked for does not exist")
        }
        SpawnError::NotExecutable { hint, .. } => format!("'{command}' is not executable: {hint}"),
        SpawnError::IsDirectory(_) => format!("'{command}' is a directory, not a command"),
        SpawnError::Format(_) => {
            format!("'{command}' is not a program for this machine: a script needs a '#!' line")
        }
        SpawnError::Busy(_) => format!("'{command}' is being written to (text file busy)"),
        SpawnError::Workdir { source, .. } => format!("its working directory can't be entered: {source}"),
        other => other.to_string(),
    }
}

/// What goes wrong before the process concerns files in these folders, which go without saying.
pub(super) fn of_io(error: &io::Error, folders: &[&Path]) -> String {
    folders
        .iter()
        .fold(error.to_string(), |words, folder| words.replace(&format!("{}/", folder.display()), ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: C7
    #[test]
    fn names_are_those_of_the_configuration_and_no_path_of_this_host_is_told() {
        let no_such = || io::Error::from_raw_os_error(2);
        let file = || "/srv/secret/app".into();
        let errors = [
            SpawnError::CommandNotFound { command: "app".into(), searched: Some("/srv/bin:/bin".into()) },
            SpawnError::InterpreterMissing { command: file(), interpreter: Some("/srv/python9".into()) },
            SpawnError::InterpreterMissing { command: file(), interpreter: None },
            SpawnError::NotExecutable { command: file(), hint: "chmod +x it" },
            SpawnError::IsDirectory(file()),
            SpawnError::Format(file()),
            SpawnError::Busy(file()),
            SpawnError::Workdir { path: file(), source: no_such() },
        ];
        let mut told: Vec<_> = errors.iter().map(|error| of_spawn(error, "./app")).collect();
        assert!(told.iter().all(|words| !words.contains("/srv")), "{told:#?}");
        assert!(told[1].contains("'python9'") && told[7].contains("No such file"), "{told:#?}");
        told.dedup();
        assert_eq!(told.len(), errors.len(), "each says something else");
        let taken = io::Error::other("'/srv/run/a.sock' is in use by another process");
        assert_eq!(of_io(&taken, &[Path::new("/srv/run")]), "'a.sock' is in use by another process");
        assert_eq!(of_io(&no_such(), &[]), "No such file or directory (os error 2)");
    }
}
