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

#[cfg(test)]
mod tests {
    use tenement_core::time::WallMillis;

    use super::*;
    use crate::store::{Store, Wanted};

    fn archive(folder: &std::path::Path, adapt: impl FnOnce(&mut Manifest)) -> Vec<u8> {
        drop(Store::open(&folder.join(layout::STATE)).unwrap());
        for name in [layout::HISTORY, layout::SINKS] {
            let database = rusqlite::Connection::open(folder.join(name)).unwrap();
            database.execute_batch("CREATE TABLE IF NOT EXISTS one (a)").unwrap();
        }
        let mut snapshot = Snapshot::take(folder, "2026-01-01T00:00:00Z".to_owned()).unwrap();
        adapt(snapshot.manifest_mut());
        let mut bytes = Vec::new();
        snapshot.write(&mut bytes).unwrap();
        bytes
    }

    // faults: D10
    #[test]
    fn one_of_a_newer_tenement_or_of_other_content_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let refused = |bytes: &[u8]| restore(path, bytes, WallMillis(1)).unwrap_err().to_string();
        let newer = archive(path, |manifest| manifest.schema = 99);
        assert!(refused(&newer).contains("newer than this one"));
        let newer = archive(path, |manifest| manifest.format = 99);
        assert!(refused(&newer).contains("newer than this one"));
        let wrong = archive(path, |manifest| manifest.files[0].sha256.clear());
        assert!(refused(&wrong).contains("is not what it was"));
        let store = Store::open(&path.join(layout::STATE)).unwrap();
        store.new_token(Wanted::admin("later"), WallMillis(1)).unwrap();
        drop(store);
        let good = archive(path, |_| {});
        let restored = restore(path, good.as_slice(), WallMillis(5000)).unwrap();
        assert_eq!(restored.suffix, "before-restore-5");
        assert_eq!(Store::open(&path.join(layout::STATE)).unwrap().tokens().len(), 1);
    }
}
