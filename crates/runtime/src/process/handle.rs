//! What must be written down of a process to find it again.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Strategy;

/// Names one run of one process for good: plain data, void after a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    /// Process id, also of its session and process group.
    pub pid: u32,
    /// Clock ticks from boot to its start, from `/proc/<pid>/stat`.
    pub start_time: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Number of the run, as in [`tenement_core::slot::RunId`].
    pub run: u64,
    /// What holds the tree together.
    pub strategy: Strategy,
    /// Its group's directory under the host's folder, if it has one.
    pub cgroup: Option<PathBuf>,
    /// The value of `TENEMENT_RUN` in its environment.
    pub marker: Option<String>,
}

/// Why a process was not taken on. It was not touched.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// It was started before the last reboot.
    #[error("it belongs to another boot of this host")]
    OtherBoot,
    /// It was started for another data directory, of which this one is a copy.
    #[error("it belongs to another data directory")]
    OtherPlace,
    /// It is not where it was put.
    #[error("process {0} is not in its group")]
    NotInGroup(u32),
    /// `/proc` or the process could not be read.
    #[error("it could not be examined: {0}")]
    Os(#[from] std::io::Error),
}
