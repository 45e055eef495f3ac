//! Making one.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use sha2::{Digest, Sha256};
use tenement_core::layout;
use tenement_supervisor::StorageFault;

use super::{BackupError, DATABASES, Entry, FILES, FORMAT, MANIFEST, Manifest, hex, tried};

/// What the folders begin with that copies are made in.
const FOLDER: &str = ".backup-";
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Copies of everything, as it was when this was made. Dropping it removes them.
#[derive(Debug)]
pub struct Snapshot {
    folder: PathBuf,
    manifest: Manifest,
}

impl Snapshot {
    /// Copies what a daemon has in its data directory, which goes on meanwhile. Blocks. `time`: now, RFC 3339.
    ///
    /// # Errors
    /// Something can't be read, or there is no room beside it for the copies.
    pub fn take(data_dir: &Path, time: String) -> Result<Self, BackupError> {
        let folder = format!("{FOLDER}{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let folder = data_dir.join(folder);
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(tried("no folder for the copies can be made"))?;
        let manifest = Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            schema: crate::store::SCHEMA,
            time,
            data_dir: data_dir.to_string_lossy().into_owned(),
            files: Vec::new(),
        };
        let mut snapshot = Self { folder, manifest };
        for name in DATABASES {
            let copied = copy(&data_dir.join(name), &snapshot.folder.join(name), name == layout::STATE);
            copied.map_err(|source| BackupError::Copy { name, source })?;
            snapshot.add(name)?;
        }
        for name in FILES {
            match fs::copy(data_dir.join(name), snapshot.folder.join(name)) {
                Ok(_) => snapshot.add(name)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(tried(format!("'{name}' can't be copied"))(error)),
            }
        }
        Ok(snapshot)
    }

    #[cfg(test)]
    pub(super) fn manifest_mut(&mut self) -> &mut Manifest {
        &mut self.manifest
    }

    fn add(&mut self, name: &str) -> Result<(), BackupError> {
        let digest = || -> io::Result<(u64, String)> {
            let (mut file, mut hash) = (File::open(self.folder.join(name))?, Sha256::new());
            let (mut buffer, mut size) = (vec![0; 64 << 10], 0);
            loop {
                let read = file.read(&mut buffer)?;
                if read == 0 {
                    return Ok((size, hex(hash.finalize())));
                }
                hash.update(&buffer[..read]);
                size += read as u64;
            }
        };
        let (size, sha256) = digest().map_err(tried(format!("the copy of '{name}' can't be read")))?;
        self.manifest.files.push(Entry { name: name.to_owned(), size, sha256 });
        Ok(())
    }

    /// Writes the archive. Blocks.
    ///
    /// # Errors
    /// `into` takes no more, or a copy can't be read.
    pub fn write(&self, into: impl Write) -> io::Result<()> {
        let mut packed = zstd::Encoder::new(into, 0)?;
        packed.include_checksum(true)?;
        let mut archive = tar::Builder::new(packed);
        let manifest = serde_json::to_vec_pretty(&self.manifest)?;
        append(&mut archive, MANIFEST, manifest.len() as u64, manifest.as_slice())?;
        for Entry { name, size, .. } in &self.manifest.files {
            append(&mut archive, name, *size, File::open(self.folder.join(name))?)?;
        }
        archive.into_inner()?.finish()?.flush()
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        #[allow(
            clippy::disallowed_methods,
            reason = "a folder of the daemon's own, which no tenant can write to"
        )]
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "could not be removed");
        }
    }
}

/// Removes copies that a killed daemon has left.
///
/// # Errors
/// They can't be removed.
pub fn tidy(data_dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data_dir)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(FOLDER)) {
            #[allow(
                clippy::disallowed_methods,
                reason = "a folder of the daemon's own, which no tenant can write to"
            )]
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// A consistent copy of a database that others write to meanwhile.
fn copy(from: &Path, to: &Path, is_state: bool) -> Result<(), rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags)?;
    source.busy_timeout(std::time::Duration::from_secs(5))?;
    source.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
    if is_state {
        // Nobody has the copy open, and what runs is not in it.
        let copy = Connection::open(to)?;
        copy.execute("UPDATE meta SET open = 0", ())?;
        copy.execute("DELETE FROM made WHERE file = ?1", [layout::RUNS])?;
    }
    Ok(())
}

fn append<W: Write>(archive: &mut tar::Builder<W>, name: &str, size: u64, from: impl Read) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    archive.append_data(&mut header, name, from)
}

impl BackupError {
    /// What is wrong with the disk of the data directory.
    #[must_use]
    pub fn fault(&self) -> StorageFault {
        match self {
            Self::Io { source, .. } => tenement_supervisor::StorageError::of_io("", source).fault,
            Self::Copy { source, .. } => match source.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => StorageFault::Full,
                Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => StorageFault::Failing,
                _ => StorageFault::Other,
            },
            Self::Damaged(_) | Self::Newer { .. } => StorageFault::Other,
        }
    }
}
