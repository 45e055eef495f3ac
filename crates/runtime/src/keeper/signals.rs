//! The keeper's signals as something to read: `signalfd(2)`.

use std::{
    io, mem,
    os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
};

/// What they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// A child has ended, or several.
    Child,
    /// The end of everything is wanted.
    End(i32),
    /// The daemon decides what it means.
    Other(i32),
}

const WATCHED: [i32; 8] = [
    libc::SIGCHLD,
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
];

/// Others that would end or stop a process which does not know them: by accident, for writing to a terminal from the
/// background, or for a file that has become too large, which the write then says by itself. Ignored, by what the keeper
/// starts too; only instances get everything as it is in a fresh process.
const IGNORED: [i32; 9] = [
    libc::SIGPIPE,
    libc::SIGXFSZ,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
    libc::SIGSTKFLT,
];

/// From now on they end nothing, but are read here.
#[derive(Debug)]
pub(super) struct Signals(OwnedFd);

impl Signals {
    pub(super) fn watch() -> io::Result<Self> {
        // SAFETY: every bit pattern is a set, and the calls only read and write sets that live here. The dispositions
        // are set to what a fresh process has: a signal that whoever started us ignores would never be read. The
        // descriptor is new and nobody else's.
        unsafe {
            let mut set: libc::sigset_t = mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in WATCHED {
                libc::sigaddset(&raw mut set, signal);
                libc::signal(signal, libc::SIG_DFL);
            }
            for signal in IGNORED.into_iter().chain(libc::SIGRTMIN()..=libc::SIGRTMAX()) {
                libc::signal(signal, libc::SIG_IGN);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut());
            let fd = libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// The next one that has come.
    pub(super) fn next(&self) -> Option<Signal> {
        let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
        let number = match rustix::io::read(&self.0, &mut info) {
            // `ssi_signo` comes first.
            Ok(length) if length == info.len() => i32::from_ne_bytes([info[0], info[1], info[2], info[3]]),
            _ => return None,
        };
        Some(match number {
            libc::SIGCHLD => Signal::Child,
            libc::SIGTERM | libc::SIGINT | libc::SIGQUIT => Signal::End(number),
            other => Signal::Other(other),
        })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Gives a process that is about to be executed the mask of a fresh one. Async-signal-safe.
pub(super) fn unblock_all() {
    // SAFETY: an empty set that lives here.
    unsafe {
        let mut none: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}
