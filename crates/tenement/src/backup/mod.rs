//! The daemon's own state in one file, and back.
//!
//! ```text
//!   databases ─► VACUUM INTO a folder, each consistent ─► manifest, files ─► tar ─► zstd ─► one stream
//!
//!   file ─► unpacked beside, every byte checked ─► databases checked ─► swapped in, all or nothing
//! ```
//!
//! Logs and the data of instances are not in it: they are large, and belong to tools that copy files.

mod make;
mod restore;

use std::io;

use serde::{Deserialize, Serialize};
use tenement_core::layout;

pub use make::{Snapshot, tidy};
pub use restore::{Restored, check, restore};

/// The media type.
pub const TYPE: &str = "application/zstd";

/// The only one so far.
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
const MANIFEST_MAX: u64 = 1 << 20;

/// Databases; the first one has to be there.
const DATABASES: [&str; 3] = [layout::STATE, layout::HISTORY, layout::SINKS];
/// Small files.
const FILES: [&str; 2] = [layout::SEAL, layout::API_TOKEN];

/// What a backup says of itself: its first entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the archive.
    format: u32,
    /// Of the tenement that made it.
    pub version: String,
    /// Of its state database.
    pub schema: i64,
    /// When it was made, RFC 3339.
    pub time: String,
    /// Where that was.
    pub data_dir: String,
    files: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    name: String,
    size: u64,
    /// In hexadecimal.
    sha256: String,
}

/// Why there is no backup, or it can't be restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file can't be read or written.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A database can't be copied.
    #[error("'{name}' can't be copied: {source}")]
    Copy {
        /// Which.
        name: &'static str,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// It is no backup, or damaged.
    #[error("it is no whole backup of tenement ({0}): take another one; nothing was changed")]
    Damaged(String),
    /// It was made by a newer program.
    #[error(
        "it was made by tenement {version}, which is newer than this one: upgrade ten; nothing was changed"
    )]
    Newer {
        /// Which.
        version: String,
    },
}

/// Makes an [`io::Error`] say what was tried.
fn tried(what: impl Into<String>) -> impl FnOnce(io::Error) -> BackupError {
    let what = what.into();
    move |source| BackupError::Io { what, source }
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
