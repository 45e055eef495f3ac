//! A process by its number and its start, so that another one of the same number is not taken for it.

use std::{fmt, io, str::FromStr};

use rustix::process::Signal;

use crate::process::{Stat, pidfd};

/// What asks a daemon without a keeper to leave to another one what it runs. With a keeper it means nothing.
const LEAVE: Signal = Signal::USR2;

/// A process of this boot. As text: pid and start time in clock ticks, as in `proc_pid_stat(5)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its number.
    pub pid: u32,
    start_time: u64,
}

impl Identity {
    /// This process.
    ///
    /// # Errors
    /// `/proc` can't be read.
    pub fn own() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    pub(super) fn of(pid: u32) -> io::Result<Self> {
        Ok(Self { pid, start_time: Stat::read(pid)?.start_time })
    }

    /// Whether it runs.
    #[must_use]
    pub fn lives(&self) -> bool {
        Stat::read(self.pid).is_ok_and(|stat| stat.start_time == self.start_time && !stat.is_dead())
    }

    /// Asks it, a daemon, to leave without ending its instances, which it does when its keeper is gone.
    ///
    /// # Errors
    /// It is gone, or somebody else's.
    pub fn ask_to_leave(&self) -> io::Result<()> {
        let handle = pidfd::open(self.pid)?;
        // Read after the descriptor is held, so that it is about the process that will be signalled.
        if !self.lives() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(rustix::process::pidfd_send_signal(&handle, LEAVE)?)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid, self.start_time)
    }
}

impl FromStr for Identity {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (pid, start_time) = text.split_once(' ').unwrap_or((text, ""));
        Ok(Self { pid: pid.parse()?, start_time: start_time.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_alone_is_nobody() {
        let own = Identity::own().unwrap();
        assert!(own.lives());
        assert_eq!(own.to_string().parse(), Ok(own));
        let other = Identity { start_time: own.start_time + 1, ..own };
        assert!(!other.lives());
        assert_eq!(other.ask_to_leave().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!("17".parse::<Identity>().is_err());
    }
}
