//! What is to be started, and why it could not be.

use std::{
    ffi::{CString, c_char},
    fs, io,
    io::Read,
    os::{fd::OwnedFd, unix::ffi::OsStrExt, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    ptr,
};

use tenement_core::{name::InstanceName, slot::RunId};

use super::child::{Failure, Step};

/// Where a command without `/` is looked for if its environment has no `PATH`.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A process to start.
#[derive(Debug)]
pub struct Launch {
    /// Whose it is.
    pub instance: InstanceName,
    /// Which start of it.
    pub run: RunId,
    /// The command, split; the first word is looked up in the `PATH` of `env` if it has no `/`.
    pub argv: Vec<String>,
    /// The whole environment: nothing is inherited. Without cgroups [`Host::spawn`](super::Host::spawn) adds
    /// `TENEMENT_RUN`; with `listen`, `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`.
    pub env: Vec<(String, String)>,
    /// Its working directory.
    pub workdir: PathBuf,
    /// Becomes descriptor 1.
    pub stdout: OwnedFd,
    /// Becomes descriptor 2.
    pub stderr: OwnedFd,
    /// Becomes descriptor 3, as `sd_listen_fds(3)` describes.
    pub listen: Option<OwnedFd>,
}

/// Why a process was not started. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The command has no word.
    #[error("the command is empty")]
    EmptyCommand,
    /// A NUL byte can't be passed to a process.
    #[error("{0} contains a NUL byte")]
    Nul(&'static str),
    /// No such file, or none of that name in the `PATH`.
    #[error("command not found: '{command}'{}", .searched.as_ref().map(|path| format!(" (searched {path})")).unwrap_or_default())]
    CommandNotFound {
        /// As configured.
        command: String,
        /// The `PATH`, if it was searched.
        searched: Option<String>,
    },
    /// The file is there, but what its first line names, or its dynamic loader, is not.
    #[error("'{}' can't run: its interpreter {} does not exist", .command.display(), .interpreter.as_deref().map_or("(the dynamic loader it was linked for)".into(), |i| format!("'{i}'")))]
    InterpreterMissing {
        /// The file.
        command: PathBuf,
        /// From its `#!` line.
        interpreter: Option<String>,
    },
    /// The file may not be executed.
    #[error("'{}' is not executable: {hint}", .command.display())]
    NotExecutable {
        /// The file.
        command: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// It is a directory.
    #[error("'{}' is a directory, not a command", .0.display())]
    IsDirectory(PathBuf),
    /// Neither a program for this machine nor a script with a `#!` line.
    #[error("'{}' is not a program for this machine: a script needs a '#!' line", .0.display())]
    Format(PathBuf),
    /// It is open for writing.
    #[error("'{}' is being written to (text file busy)", .0.display())]
    Busy(PathBuf),
    /// The working directory can't be entered.
    #[error("working directory '{}': {source}", .path.display())]
    Workdir {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Arguments and environment are more than the kernel passes on.
    #[error(
        "arguments and environment have {bytes} bytes, more than the kernel passes to a process (one entry: 128 KiB, all: about 2 MiB): shorten env"
    )]
    TooBig {
        /// Of all of them.
        bytes: usize,
    },
    /// The host has no room for another process. Trying later may help.
    #[error("no room for another process ({what}): {source}")]
    Resources {
        /// What is short.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Anything else.
    #[error("could not {what}: {source}")]
    Os {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl SpawnError {
    /// Whether the command does not exist: starting it again will not help.
    #[must_use]
    pub fn is_command_not_found(&self) -> bool {
        matches!(self, Self::CommandNotFound { .. })
    }

    /// Whether it may work later without any change of the configuration.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Resources { .. } | Self::Busy(_) | Self::Os { .. })
    }

    pub(super) fn os(what: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EAGAIN) => Self::Resources { what: "processes", source },
            Some(libc::ENOMEM) => Self::Resources { what: "memory", source },
            Some(libc::EMFILE | libc::ENFILE) => Self::Resources { what: "file descriptors", source },
            Some(libc::ENOSPC) => Self::Resources { what: "space", source },
            _ => Self::Os { what, source },
        }
    }
}

/// Strings as `execve(2)` takes them.
pub(super) struct Strings {
    /// Owns what the pointers point to.
    _owned: Vec<CString>,
    pointers: Vec<*const c_char>,
    /// Bytes that count against the kernel's limit.
    pub(super) bytes: usize,
}

impl Strings {
    pub(super) fn new(strings: impl Iterator<Item = String>, what: &'static str) -> Result<Self, SpawnError> {
        let owned: Vec<CString> =
            strings.map(|s| CString::new(s).map_err(|_| SpawnError::Nul(what))).collect::<Result<_, _>>()?;
        let pointers = owned.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
        let bytes = owned.iter().map(|s| s.as_bytes().len() + 1 + size_of::<usize>()).sum();
        Ok(Self { _owned: owned, pointers, bytes })
    }

    pub(super) fn pointers(&self) -> &[*const c_char] {
        &self.pointers
    }
}

/// The file that a command means, as a shell would find it.
pub(super) fn resolve(launch: &Launch) -> Result<PathBuf, SpawnError> {
    let command = launch.argv.first().filter(|c| !c.is_empty()).ok_or(SpawnError::EmptyCommand)?;
    if command.contains('/') {
        return Ok(launch.workdir.join(command));
    }
    let path = launch.env.iter().rev().find(|(key, _)| key == "PATH").map_or(DEFAULT_PATH, |(_, v)| v);
    let mut refused = None;
    for dir in path.split(':') {
        let file = launch.workdir.join(dir).join(command);
        match fs::metadata(&file) {
            Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => return Ok(file),
            Ok(meta) if meta.is_file() => refused = refused.or(Some(file)),
            _ => {}
        }
    }
    match refused {
        Some(command) => Err(not_executable(command)),
        None => Err(SpawnError::CommandNotFound { command: command.clone(), searched: Some(path.into()) }),
    }
}

/// Says what is wrong with a file that `execve` refused, or with the step before.
pub(super) fn explain(failure: Failure, launch: &Launch, program: &Path, bytes: usize) -> SpawnError {
    let source = io::Error::from_raw_os_error(failure.errno);
    match failure.step {
        Step::Workdir => SpawnError::Workdir { path: launch.workdir.clone(), source },
        Step::Session => SpawnError::os("start a session", source),
        Step::Group => SpawnError::os("enter the cgroup", source),
        Step::Descriptors => SpawnError::os("pass on descriptors", source),
        Step::None | Step::Exec => explain_exec(failure.errno, source, launch, program, bytes),
    }
}

fn explain_exec(errno: i32, source: io::Error, launch: &Launch, program: &Path, bytes: usize) -> SpawnError {
    let command = program.to_path_buf();
    let meta = fs::metadata(program);
    match errno {
        libc::ENOENT | libc::ENOTDIR if meta.is_ok() => {
            SpawnError::InterpreterMissing { interpreter: interpreter(program), command }
        }
        libc::ENOENT | libc::ENOTDIR => {
            SpawnError::CommandNotFound { command: launch.argv[0].clone(), searched: None }
        }
        libc::EACCES if meta.as_ref().is_ok_and(fs::Metadata::is_dir) => SpawnError::IsDirectory(command),
        libc::EACCES | libc::EPERM => not_executable(command),
        libc::ENOEXEC => SpawnError::Format(command),
        libc::ETXTBSY => SpawnError::Busy(command),
        libc::E2BIG => SpawnError::TooBig { bytes },
        _ => SpawnError::os("execute the command", source),
    }
}

fn not_executable(command: PathBuf) -> SpawnError {
    let executable = fs::metadata(&command).is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0);
    let hint = if executable {
        "is it, its interpreter or a folder above it forbidden, or the file system mounted noexec?"
    } else {
        "chmod +x it"
    };
    SpawnError::NotExecutable { command, hint }
}

/// What the `#!` line names.
fn interpreter(program: &Path) -> Option<String> {
    let mut head = [0_u8; 256];
    let read = fs::File::open(program).ok()?.read(&mut head).ok()?;
    let line = head[..read].strip_prefix(b"#!")?.split(|&b| b == b'\n').next()?;
    // A carriage return is shown, since it is often what is wrong.
    let text = String::from_utf8_lossy(line);
    let word =
        text.trim_start_matches([' ', '\t']).split([' ', '\t']).next().filter(|word| !word.is_empty())?;
    Some(word.escape_debug().to_string())
}

/// A path as a C string.
pub(super) fn c_path(path: &Path, what: &'static str) -> Result<CString, SpawnError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| SpawnError::Nul(what))
}
