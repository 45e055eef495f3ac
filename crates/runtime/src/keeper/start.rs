//! Starts the daemon: this very program again, with a channel to the keeper.

#![allow(clippy::disallowed_methods, reason = "the daemon is no instance: nothing but the keeper starts it")]

use std::{
    env,
    ffi::OsString,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{fs::MetadataExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::Command,
};

use rustix::fs::{Mode, OFlags};

use super::{channel, notify, signals};
use crate::limits;

/// Names the descriptor of the channel in the daemon's environment.
pub const VARIABLE: &str = "TENEMENT_KEEPER";
const OWN: &str = "/proc/self/exe";

/// Says to a daemon that it is to take the place of another one.
pub(super) const SUCCEEDS: &str = "TENEMENT_SUCCEEDS";

/// What daemons are started from. Held open: another file may come to stand in its place, which is for an upgrade to try.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    file: OwnedFd,
}

impl Program {
    /// The one that runs.
    pub(super) fn own() -> io::Result<Self> {
        Self::of(Path::new(OWN), std::fs::read_link(OWN)?)
    }

    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Self::of(path, path.to_owned())
    }

    fn of(opened: &Path, path: PathBuf) -> io::Result<Self> {
        let file = rustix::fs::open(opened, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { path, file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// By its name where that still leads to it, so that people find it by that.
    fn to_execute(&self) -> PathBuf {
        let held = PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        let ids = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino()));
        match (ids(&self.path), ids(&held)) {
            (Ok(named), Ok(ours)) if named == ours => self.path.clone(),
            _ => held,
        }
    }
}

/// A daemon's pid and our end of the channel to it.
pub(super) fn daemon(program: &Program, succeeds: bool) -> io::Result<(u32, OwnedFd)> {
    let (ours, theirs) = channel::pair()?;
    let number = theirs.as_raw_fd();
    let mut arguments = env::args_os();
    let mut command = Command::new(program.to_execute());
    command
        .arg0(arguments.next().unwrap_or_else(|| OsString::from("ten")))
        .args(arguments)
        .env(VARIABLE, number.to_string())
        .env_remove(SUCCEEDS)
        .env_remove(notify::VARIABLE)
        // A terminal's Ctrl-C is for the keeper, which passes it on.
        .process_group(0);
    if succeeds {
        command.env(SUCCEEDS, "1");
    }
    let original = limits::original_nofile();
    // SAFETY: between fork and execve, only system calls on plain numbers and local memory.
    unsafe {
        command.pre_exec(move || {
            if libc::fcntl(number, libc::F_SETFD, 0) < 0 {
                return Err(io::Error::last_os_error());
            }
            if let Some(limit) = &original {
                libc::setrlimit(libc::RLIMIT_NOFILE, limit);
            }
            signals::unblock_all();
            Ok(())
        });
    }
    Ok((command.spawn()?.id(), ours))
}
