//! The log of all instances.

use std::{collections::BTreeMap, io, os::fd::OwnedFd, path::PathBuf};

use tenement_core::{name::InstanceName, slot::RunId};

use crate::{
    query::{LogPage, LogQuery, QueryError},
    retention::{Limits, StreamLimits},
};

/// The log of all instances. Cheap to clone; every method may block on the disk.
#[derive(Clone, Debug)]
pub struct LogStore {}

/// What was taken in from one instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InstanceStats {
    /// Lines kept.
    pub lines: u64,
    /// Bytes kept.
    pub bytes: u64,
    /// Lines thrown away before they were kept.
    pub dropped: u64,
    /// Failed writes; the bytes stay in the pipe and are tried again.
    pub write_errors: u64,
}

/// What is kept of every instance.
pub type Stats = BTreeMap<InstanceName, InstanceStats>;

impl LogStore {
    /// Opens the store in `dir`, creates it when missing, finds what a killed predecessor left, and starts
    /// the thread that takes lines in.
    ///
    /// # Errors
    /// The directory cannot be made or read, or the thread not started.
    pub fn open(dir: PathBuf, limits: Limits) -> io::Result<Self> {
        let _ = (dir, limits);
        Ok(Self {})
    }

    /// Takes in what comes out of `pipes`, the non-blocking read ends of stdout and stderr.
    ///
    /// # Errors
    /// The instance's directory cannot be made, or the kernel watches no more files.
    pub fn attach(
        &self,
        name: &InstanceName,
        run: RunId,
        pipes: [OwnedFd; 2],
        limits: StreamLimits,
    ) -> io::Result<()> {
        let _ = (name, run, pipes, limits);
        Ok(())
    }

    /// Takes in what is left in the pipes of a run whose processes are gone, closes them, and calls `done` on
    /// the thread of the store, also when the run is not attached.
    pub fn detach(&self, name: &InstanceName, run: RunId, done: impl FnOnce() + Send + 'static) {
        let _ = (name, run);
        done();
    }

    /// A page of lines.
    ///
    /// # Errors
    /// An invalid regular expression, or a disk that cannot be read.
    pub fn query(&self, query: &LogQuery) -> Result<LogPage, QueryError> {
        let _ = query;
        Ok(LogPage::default())
    }

    /// The last `n` lines of an instance, oldest first, as text; none when they cannot be read.
    #[must_use]
    pub fn last_lines(&self, name: &InstanceName, n: usize) -> Vec<String> {
        let _ = (name, n);
        Vec::new()
    }

    /// Erases everything an instance wrote.
    ///
    /// # Errors
    /// A file could not be removed; what is left is still found.
    pub fn purge(&self, name: &InstanceName) -> io::Result<()> {
        let _ = name;
        Ok(())
    }

    /// Every instance something is kept of, also those that are gone.
    #[must_use]
    pub fn known(&self) -> Vec<InstanceName> {
        Vec::new()
    }

    /// Counts of every known instance.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::new()
    }
}
