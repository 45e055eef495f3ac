//! What keeper and daemon say to each other: one JSON object per packet, file descriptors beside it.
//!
//! ```text
//!   daemon ─ hello, hold + fds, drop, ready, ending, exit, exits_seen ─► keeper
//!   keeper ─ hello, held + fds …, exit …, begin │ exit … ──────────────► daemon
//! ```
//!
//! For an upgrade, see [`super::upgrade`]: `upgrade`, `prepared`, `refused` and `released`; `hand_over`, `leave` and
//! `not_upgraded`.
//!
//! The two may be of different releases: what one does not know of the other's it leaves unheard.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tenement_core::time::WallMillis;

use crate::process::{Exit, Status};

/// Of this protocol; only for people who look at it, as neither side refuses another's.
pub(super) const VERSION: u32 = 1;

/// From the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum ToKeeper {
    /// The first message.
    Hello {
        /// [`VERSION`].
        version: u32,
    },
    /// Keep the descriptors that come with this, for the next daemon.
    Hold {
        /// What they are.
        name: String,
        /// They are more of what was just held by that name; otherwise they replace that.
        #[serde(default)]
        more: bool,
    },
    /// Close what is held by this name.
    Drop {
        /// As in `Hold`.
        name: String,
    },
    /// Requests are served.
    Ready,
    /// The orderly end has begun.
    Ending,
    /// Start a successor.
    Upgrade {
        /// Another program than the present one.
        #[serde(default)]
        program: Option<PathBuf>,
        /// What each of its stages has.
        #[serde(default)]
        patience_ms: Option<u64>,
    },
    /// A successor can run, and waits for what it takes over.
    Prepared {
        /// Its release.
        #[serde(default)]
        version: String,
    },
    /// A successor can't run.
    Refused {
        /// In words for people.
        #[serde(default)]
        why: String,
    },
    /// Nothing is changed any more, and a successor may take over.
    Released,
    /// A process that the next daemon may ask for has ended. From a daemon that leaves and was its parent.
    Exit(Ended),
    /// Nobody will ask for these any more: pid and start time.
    ExitsSeen {
        /// Which.
        exits: Vec<(u32, u64)>,
    },
    /// Something of another release.
    #[default]
    #[serde(other)]
    Unknown,
}

/// From the keeper.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum ToDaemon {
    /// The first message.
    Hello {
        /// [`VERSION`].
        version: u32,
    },
    /// The descriptors that come with this were held for you.
    Held {
        /// By this name.
        name: String,
        /// They are more of what the message before this brought.
        #[serde(default)]
        more: bool,
    },
    /// A process has ended that was not the daemon's own child.
    Exit(Ended),
    /// That was all there is from before.
    Begin,
    /// A successor is there: change nothing any more.
    HandOver,
    /// Another daemon serves. With a descriptor: the way to it, for connections.
    Leave {
        /// The release of the successor; none if it could not take over, and the former program was started again.
        #[serde(default)]
        version: Option<String>,
        /// Why it could not.
        #[serde(default)]
        why: Option<String>,
    },
    /// There will be no successor.
    NotUpgraded {
        /// In words for people.
        #[serde(default)]
        why: String,
    },
    /// Something of another release.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A process that has ended, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) pid: u32,
    /// In clock ticks since boot, as in `proc_pid_stat(5)`.
    pub(super) start_time: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signal: Option<i32>,
    #[serde(default)]
    pub(super) core: bool,
    /// When it was noticed, in milliseconds since 1970.
    #[serde(default)]
    pub(super) at_ms: u64,
}

impl Ended {
    pub(super) fn new(pid: u32, start_time: u64, status: Status, at: WallMillis) -> Self {
        let mut ended = Self { pid, start_time, code: None, signal: None, core: false, at_ms: at.0 };
        match status {
            Status::Code(code) => ended.code = Some(code),
            Status::Signal { number, core } => (ended.signal, ended.core) = (Some(number), core),
            Status::Unknown => {}
        }
        ended
    }

    pub(super) fn status(&self) -> Status {
        match (self.code, self.signal) {
            (Some(code), _) => Status::Code(code),
            (None, Some(number)) => Status::Signal { number, core: self.core },
            (None, None) => Status::Unknown,
        }
    }

    pub(super) fn exit(&self) -> Exit {
        Exit { status: self.status(), oom: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_release_says_is_left_unheard() {
        let read = |text: &str| serde_json::from_str::<ToKeeper>(text).unwrap();
        assert_eq!(read(r#"{"kind":"sing","song":"one"}"#), ToKeeper::Unknown);
        assert_eq!(read(r#"{"kind":"ready","how":"very"}"#), ToKeeper::Ready);
        let hold = ToKeeper::Hold { name: "listen:[::]:80".into(), more: false };
        assert_eq!(read(r#"{"kind":"hold","name":"listen:[::]:80","until":5}"#), hold);
        let exit = r#"{"kind":"exit","pid":7,"start_time":9,"signal":11,"core":true,"by":"nobody"}"#;
        let ToKeeper::Exit(ended) = read(exit) else { panic!() };
        assert_eq!(ended.status(), Status::Signal { number: 11, core: true });
    }

    #[test]
    fn every_status_comes_back_as_it_was() {
        let statuses =
            [Status::Code(0), Status::Code(255), Status::Signal { number: 9, core: false }, Status::Unknown];
        for status in statuses {
            let said = ToDaemon::Exit(Ended::new(5, 6, status, WallMillis(7)));
            let heard = serde_json::from_str(&serde_json::to_string(&said).unwrap()).unwrap();
            assert_eq!(said, heard);
            let ToDaemon::Exit(ended) = heard else { panic!() };
            assert_eq!(ended.status(), status);
        }
    }
}
