//! Starting, watching and ending the process tree of an instance.
//!
//! ```text
//!   Launch ── Host::spawn ──► Process ── exited() ───► Exit            (event: pidfd)
//!   Handle ── Host::recover ─►   │ ├──── terminate()   SIGTERM to all
//!                                │ └──── kill_tree()   all gone, reaped, group removed
//!                                └────── owns(pid), members(), usage()
//! ```
//!
//! A process is signalled only through a pidfd that was shown to mean a process of the tree, never by number. The
//! instances outlive the process that started them.

mod child;
mod exit;
pub(crate) mod exits;
mod handle;
mod host;
mod launch;
mod marker;
pub(crate) mod pidfd;
mod procfs;
mod reaper;
mod recover;
mod running;
mod tree;

pub use exit::{Exit, Status};
pub(crate) use exits::status_of;
pub use exits::{Noted, forget as forget_exits, noted};
pub use handle::{AdoptError, Handle};
pub use host::{Capabilities, Host};
pub use launch::{DEFAULT_PATH, Launch, SpawnError};
pub(crate) use procfs::{Stat, all_pids, read as read_proc};
pub(crate) use reaper::{Peek, peek};
pub use recover::{Proof, Recovered, Unknown};
pub use running::{Process, Usage};
pub use tree::Strategy;
