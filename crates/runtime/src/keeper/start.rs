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
    path::PathBuf,
    process::Command,
};

use super::{channel, notify, signals};
use crate::limits;

/// Names the descriptor of the channel in the daemon's environment.
pub const VARIABLE: &str = "TENEMENT_KEEPER";

/// A daemon's pid and our end of the channel to it.
pub(super) fn daemon() -> io::Result<(u32, OwnedFd)> {
    let (ours, theirs) = channel::pair()?;
    let number = theirs.as_raw_fd();
    let mut arguments = env::args_os();
    let mut command = Command::new(program());
    command
        .arg0(arguments.next().unwrap_or_else(|| OsString::from("ten")))
        .args(arguments)
        .env(VARIABLE, number.to_string())
        .env_remove(notify::VARIABLE)
        // A terminal's Ctrl-C is for the keeper, which passes it on.
        .process_group(0);
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

/// By its own name where that still leads to this program, so that people find it by that; it may have been replaced.
fn program() -> PathBuf {
    const OWN: &str = "/proc/self/exe";
    let same = |path: &PathBuf| {
        let ids = |found: std::fs::Metadata| (found.dev(), found.ino());
        matches!((path.metadata().map(ids), std::fs::metadata(OWN).map(ids)), (Ok(one), Ok(other)) if one == other)
    };
    std::fs::read_link(OWN).ok().filter(same).unwrap_or_else(|| OWN.into())
}
