//! Real processes, sockets and files.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod ready;
mod spawn;
mod support;
mod tree;
