//! The binary `ten` as a user meets it.
#![allow(missing_docs, clippy::disallowed_methods, reason = "tests start processes and write files")]

mod cli;
