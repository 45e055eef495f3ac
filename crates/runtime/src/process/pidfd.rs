//! A process held by file descriptor, so that its pid can't come to mean another.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::process::{Pid, PidfdFlags, Signal, WaitIdOptions};
use tokio::io::Interest;

use super::{Exit, exits::status_of};
use crate::event;

/// Opens a pid. The caller must show that it is still the process that it means.
pub(crate) fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// Signals the process; one that is gone is no error.
pub(crate) fn signal(pidfd: &impl AsFd, signal: Signal) {
    if let Err(error) = rustix::process::pidfd_send_signal(pidfd, signal)
        && error != rustix::io::Errno::SRCH
    {
        tracing::warn!(%error, ?signal, "signal not sent");
    }
}

/// Waits until the process has ended; a zombie has.
pub(crate) async fn ended(pidfd: &OwnedFd) -> io::Result<()> {
    // A descriptor of its own: epoll refuses the same one twice, and several may wait.
    let watched = event::watch(pidfd.try_clone()?, Interest::READABLE)?;
    drop(watched.readable().await?);
    Ok(())
}

/// Whether the process has ended, without waiting.
pub(crate) fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut fds = [rustix::event::PollFd::new(pidfd, rustix::event::PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(n) if n > 0)
}

/// Takes the exit status, once. `None` while it runs.
///
/// # Errors
/// `ECHILD`: not a child of this process, or the status was taken.
pub(crate) fn reap(pidfd: &OwnedFd, block: bool) -> io::Result<Option<Exit>> {
    let mut options = WaitIdOptions::EXITED;
    if !block {
        options |= WaitIdOptions::NOHANG;
    }
    loop {
        match rustix::process::waitid(rustix::process::WaitId::PidFd(pidfd.as_fd()), options) {
            Ok(status) => return Ok(status.map(|status| Exit { status: status_of(&status), oom: false })),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
