//! Desired state to processes. One loop owns every instance's state.
//!
//! ```text
//!   Supervisor (handle) ──messages──► engine: one loop ──► core::lifecycle::step ──► effects
//!                                        ▲                                             │
//!                                        └── launched, ready, exited, gone, checked ◄──┤ launch, kill, check
//!                                            timers ◄──────────────────────────────────┤ (tasks of their own)
//!                                            slots, routes ◄───────────────────────────┘
//! ```
//!
//! Nothing waits inside the loop: what takes time is a task that comes back as a message. A sleeping instance
//! is an entry in a map, not a task.

mod api;
mod check;
mod engine;
mod handle;
mod launch;
mod recover;
mod watch;

pub use api::*;
pub use engine::{Deps, finish_leaving, start};
pub use handle::Supervisor;
pub use recover::{Known, Life, Remembered, Run, Runs, Survivors, recover};
pub use watch::{Changed, Watch};
