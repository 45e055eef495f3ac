//! The binary `ten` with real processes, files and sockets.
#![allow(missing_docs, clippy::disallowed_methods, reason = "tests start processes and write files")]

mod adopts;
mod backup;
mod cli;
mod client;
mod config_file;
mod crashes;
mod daemon;
mod damaged;
mod dashboard;
mod deletes;
mod examples;
mod follow;
mod full;
mod hostile_host;
mod keeper;
mod killed_at;
mod logs;
mod metrics;
mod queries;
mod reference;
mod reload;
mod retention;
mod samples;
mod serve;
mod sinks;
mod soak;
mod support;
mod survives;
mod upgrade;
mod websockets;
