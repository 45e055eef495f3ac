//! How a process ended.

use std::fmt;

/// How a process ended, and whether the kernel killed it for want of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// What `waitid(2)` said.
    pub status: Status,
    /// The kernel's out-of-memory killer ended it.
    pub oom: bool,
}

/// The kernel's account of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It called `exit` with this code.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// Its number, as in `signal(7)`.
        number: i32,
        /// A core file was written.
        core: bool,
    },
    /// It is gone, but another process was its parent and took the status: only for adopted ones.
    Unknown,
}

impl Exit {
    pub(crate) const UNKNOWN: Self = Self { status: Status::Unknown, oom: false };

    /// Whether it ended of itself with code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status == Status::Code(0)
    }

    /// The exit code, if it ended by one.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self.status {
            Status::Code(code) => Some(code),
            _ => None,
        }
    }

    /// The signal that ended it, if one did.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match self.status {
            Status::Signal { number, .. } => Some(number),
            _ => None,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Status::Code(code) => write!(f, "exited with code {code}")?,
            Status::Signal { number, core } => {
                match signal_name(number) {
                    Some(name) => write!(f, "killed by {name}")?,
                    None => write!(f, "killed by signal {number}")?,
                }
                if core {
                    f.write_str(" (core dumped)")?;
                }
            }
            Status::Unknown => f.write_str("ended, exit status unknown")?,
        }
        if self.oom { f.write_str(" (out of memory)") } else { Ok(()) }
    }
}

fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}
