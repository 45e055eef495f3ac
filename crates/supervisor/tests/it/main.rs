//! The supervisor with real processes.
#![allow(missing_docs, clippy::disallowed_methods, reason = "tests")]

mod life;
mod reload;
mod support;
mod watch;
