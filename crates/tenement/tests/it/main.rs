//! The binary `ten` with real processes, files and sockets.

mod cli;
mod client;
mod examples;
mod serve;
mod support;
