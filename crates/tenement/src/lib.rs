//! What the binary `ten` is made of: the daemon, the state database, the HTTP API and the metrics.

pub mod api;
pub mod backup;
pub mod config_file;
pub mod daemon;
mod damage;
pub mod flags;
pub mod history;
pub mod in_effect;
mod metrics;
mod panics;
pub mod retention;
mod room;
pub mod runs;
pub mod samples;
pub mod sinks;
pub mod store;
mod swap;
pub mod token_file;
