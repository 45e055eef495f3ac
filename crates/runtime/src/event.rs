//! A descriptor's readiness as an event of the runtime.

use std::{io, os::fd::OwnedFd};

use tokio::io::{Interest, unix::AsyncFd};

/// Watches a descriptor until the answer is dropped. Must run on a runtime with I/O.
///
/// # Errors
/// epoll refuses it: for a file that has no readiness, or want of memory.
pub(crate) fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by what is returned, which takes it off epoll before it is closed.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}
