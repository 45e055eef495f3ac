//! Putting one back.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use sha2::{Digest, Sha256};
use tenement_core::{layout, time::WallMillis};

use super::{BackupError, DATABASES, Entry, FILES, FORMAT, MANIFEST, MANIFEST_MAX, Manifest, hex, tried};
use crate::{
    damage::{self, Look},
    store, swap,
};

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// What the names of what was there before end with now.
    pub suffix: String,
}

/// Puts what is in a backup in place of what is in a data directory, which nobody may use meanwhile. All of it, or
/// nothing; when it is killed halfway, the next start of the daemon goes on with it.
///
/// # Errors
/// The backup is damaged or newer, or the directory can't be written: then everything is as it was.
pub fn restore(data_dir: &Path, from: impl Read, now: WallMillis) -> Result<Restored, BackupError> {
    swap::finish(data_dir).map_err(tried("what was begun in the data directory can't be finished"))?;
    let write = "the data directory can't be written";
    let swap = swap::Swap::begin(data_dir).map_err(tried(write))?;
    let manifest = unpack(from, |entry, content| {
        let path = swap.folder().join(&entry.name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        io::copy(content, &mut file).map(drop)
    })?;
    for name in DATABASES.iter().filter(|name| manifest.files.iter().any(|entry| entry.name == **name)) {
        sound(&swap.folder().join(name), &manifest, *name == layout::STATE)?;
    }
    let beside = |name: &str| ["-wal", "-shm", ""].map(|end| format!("{name}{end}"));
    let leaving: Vec<String> =
        DATABASES.into_iter().flat_map(beside).chain(FILES.map(str::to_owned)).collect();
    let leaving: Vec<&str> = leaving.iter().map(String::as_str).collect();
    let suffix = format!("before-restore-{}", now.0 / 1000);
    swap.commit(&leaving, &suffix).map_err(tried(write))?;
    Ok(Restored { manifest, suffix })
}

/// Whether a backup is whole.
///
/// # Errors
/// It is damaged, or can't be read.
pub fn check(from: impl Read) -> Result<Manifest, BackupError> {
    unpack(from, |_, content| io::copy(content, &mut io::sink()).map(drop))
}

fn sound(path: &Path, manifest: &Manifest, is_state: bool) -> Result<(), BackupError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let damaged = |why: String| BackupError::Damaged(format!("{name}: {why}"));
    let connection = damage::open_untouched(path).map_err(|error| damaged(error.to_string()))?;
    match damage::check(&connection, Look::Thorough) {
        Ok(()) => {}
        Err(damage::Trouble::Damaged(why)) => return Err(damaged(why)),
        Err(damage::Trouble::Failed(error)) => return Err(damaged(error.to_string())),
    }
    let schema: i64 = connection
        .query_row("PRAGMA user_version", (), |row| row.get(0))
        .map_err(|error| damaged(error.to_string()))?;
    if is_state && schema > store::SCHEMA {
        return Err(BackupError::Newer { version: manifest.version.clone() });
    }
    Ok(())
}

/// Reads a backup to its end. `take` is given each file, and has to read it.
fn unpack(
    from: impl Read,
    mut take: impl FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
) -> Result<Manifest, BackupError> {
    let damaged = |why: &str| BackupError::Damaged(why.to_owned());
    let broken = |error: io::Error| BackupError::Damaged(error.to_string());
    let mut archive = tar::Archive::new(zstd::Decoder::new(from).map_err(broken)?);
    let mut entries = archive.entries().map_err(broken)?;
    let first = entries.next().ok_or_else(|| damaged("it is empty"))?.map_err(broken)?;
    if first.path_bytes().as_ref() != MANIFEST.as_bytes() {
        return Err(damaged("it does not begin with a manifest"));
    }
    let manifest: Manifest = serde_json::from_reader(first.take(MANIFEST_MAX))
        .map_err(|error| BackupError::Damaged(format!("its manifest: {error}")))?;
    if manifest.format > FORMAT || manifest.schema > store::SCHEMA {
        return Err(BackupError::Newer { version: manifest.version });
    }
    let known = |name: &str| DATABASES.contains(&name) || FILES.contains(&name);
    let mut left = manifest.files.iter();
    if !manifest.files.iter().any(|entry| entry.name == layout::STATE) {
        return Err(damaged("it has no state database"));
    }
    for entry in entries {
        let entry = entry.map_err(broken)?;
        let expected = left.next().ok_or_else(|| damaged("it has more than its manifest says"))?;
        let is_it = entry.path_bytes().as_ref() == expected.name.as_bytes()
            && entry.header().entry_type().is_file()
            && entry.size() == expected.size;
        if !is_it || !known(&expected.name) {
            return Err(damaged("it has something else than its manifest says"));
        }
        let mut content = Hashed { from: entry, hash: Sha256::new(), failed: false };
        if let Err(error) = take(expected, &mut content) {
            return Err(match content.failed {
                true => broken(error),
                false => tried(format!("'{}' can't be unpacked", expected.name))(error),
            });
        }
        if hex(content.hash.finalize()) != expected.sha256 {
            return Err(BackupError::Damaged(format!("'{}' is not what it was", expected.name)));
        }
    }
    match left.next() {
        Some(missing) => Err(BackupError::Damaged(format!("'{}' is missing", missing.name))),
        // Only at its end does it say whether it is whole.
        None => {
            io::copy(&mut archive.into_inner(), &mut io::sink()).map(|_| manifest.clone()).map_err(broken)
        }
    }
}

/// What is read, with its hash.
struct Hashed<R> {
    from: R,
    hash: Sha256,
    failed: bool,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer).inspect_err(|_| self.failed = true)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}
