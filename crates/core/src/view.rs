//! What the outside may see of an instance: the words of the API, without a format.

use std::path::PathBuf;

use crate::{
    name::InstanceName,
    time::{Millis, WallMillis},
};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word the API uses.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The value for a word of the API.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// Where an instance is in its life.
    Status {
        /// Its process is being started, or waits for its turn to be.
        Starting = "starting",
        /// Its listener accepts.
        Running = "running",
        /// It is being ended to be started again, or waits out a back-off after a crash.
        Restarting = "restarting",
        /// Its processes are being ended.
        Stopping = "stopping",
        /// Ended by hand and kept; only a start by hand brings it back.
        Stopped = "stopped",
        /// No process; the next request wakes it.
        Sleeping = "sleeping",
        /// It could not be started, or crashed too often.
        Failed = "failed",
    }
}

words! {
    /// What the health checks say.
    Health {
        /// No check yet, none configured, or no process.
        Unknown = "unknown",
        /// The last check answered 2xx.
        Healthy = "healthy",
        /// One or two checks in a row failed.
        Degraded = "degraded",
        /// Three checks in a row failed.
        Unhealthy = "unhealthy",
    }
}

/// One instance as the API shows it.
#[derive(Clone, Debug)]
pub struct InstanceView {
    /// Its name.
    pub name: InstanceName,
    /// Where it is in its life.
    pub status: Status,
    /// What the checks say.
    pub health: Health,
    /// Why it is in this status, in words for people; `None` when there is nothing to explain.
    pub reason: Option<String>,
    /// The path it is asked to listen on.
    pub socket: PathBuf,
    /// Its TCP port on loopback, where that is what accepted.
    pub port: Option<u16>,
    /// The main process, while there is one.
    pub pid: Option<u32>,
    /// Time since it became ready, in milliseconds; zero without a process.
    pub uptime_ms: u64,
    /// When its status began, on the monotonic clock.
    pub since: Millis,
    /// When a request last woke it, since the daemon started.
    pub woken: Option<Woken>,
    /// Restarts since it became known: by hand, after a crash, by a failed check. Wakes don't count.
    pub restart_count: u64,
    /// When it became known.
    pub created_at: WallMillis,
    /// When the last health check ended; `None` before the first.
    pub last_health_check: Option<WallMillis>,
    /// Health checks that passed and failed since it became known; start-up probes don't count.
    pub checks: CheckCounts,
}

/// A wake that ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Woken {
    /// When the request came that found it asleep.
    pub at: WallMillis,
    /// How long it took until that one was let in, in milliseconds.
    pub took_ms: u64,
}

/// Results of health checks since the instance became known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CheckCounts {
    /// Answered 2xx.
    pub passed: u64,
    /// Anything else.
    pub failed: u64,
}
