//! Questions to the log, answered by reading backwards.

use tenement_core::{
    name::{InstanceName, ServiceName},
    time::WallMillis,
};

use crate::{level::LevelSet, line::LogLine};

/// Which lines, and which page of them.
#[derive(Clone, Debug)]
pub struct LogQuery {
    /// Of this service only.
    pub service: Option<ServiceName>,
    /// Of this instance only.
    pub instance: Option<InstanceName>,
    /// Of these levels only (`level=` as a set, `min_level=` as [`LevelSet::at_least`], both with
    /// [`LevelSet::and`]).
    pub levels: LevelSet,
    /// Matching this regular expression, in the syntax of the `regex` crate, somewhere in the line.
    pub grep: Option<String>,
    /// Holding this text as it is.
    pub search: Option<String>,
    /// Not before.
    pub since: Option<WallMillis>,
    /// Not after.
    pub until: Option<WallMillis>,
    /// At most so many.
    pub limit: usize,
    /// Skips so many of the newest.
    pub offset: usize,
}

impl Default for LogQuery {
    /// The newest 50 lines of everything.
    fn default() -> Self {
        Self {
            service: None,
            instance: None,
            levels: LevelSet::ALL,
            grep: None,
            search: None,
            since: None,
            until: None,
            limit: 50,
            offset: 0,
        }
    }
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    /// In the order they were written.
    pub lines: Vec<LogLine>,
    /// All that match, before `limit` and `offset`.
    pub total: u64,
    /// There are older ones.
    pub has_more: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// `grep` is not a regular expression, or too large a one.
    #[error("grep: {0}")]
    Grep(#[from] regex::Error),
    /// The segments could not be read.
    #[error("reading the log: {0}")]
    Io(#[from] std::io::Error),
}
