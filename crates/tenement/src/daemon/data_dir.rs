//! The data directory, and the lock that makes it one daemon's. What is in it: [`layout`].

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use tenement_core::layout;
use tenement_runtime::{
    keeper::{Inheritance, Link},
    output::private_dir,
};

use super::{DaemonError, lock};
use crate::store::StoreError;

/// Why a data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another daemon works in it.
    #[error("another tenement (pid {pid}) already uses '{}': stop it first, or name another folder with --data-dir", .path.display())]
    Taken {
        /// The directory.
        path: PathBuf,
        /// The other daemon.
        pid: String,
    },
    /// It, or something in it, can't be made or written.
    #[error("{what} the data directory '{}': {source}; {remedy}", .path.display())]
    Unusable {
        /// What can't be done.
        what: &'static str,
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
        /// What helps.
        remedy: &'static str,
    },
    /// The state in it can't be read or written.
    #[error("{source}; the disk of the data directory '{}' may be full or failing: make room there, or name another folder with --data-dir", .path.display())]
    Disk {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// It is not where the daemon before this one had it.
    #[error("the data directory '{}' is gone, and its instances may run on: put it back (mount it), or start 'ten serve' anew to begin with what is there now", .0.display())]
    Gone(PathBuf),
    /// It is somebody else's, who could change the state behind our back.
    #[error("the data directory '{}' belongs to uid {owner}, and this is uid {uid}: give it to this user, or name another folder with --data-dir", .path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        uid: u32,
    },
}

/// What the keeper knows it by.
const HELD: &str = "data_dir";

/// Looks whether it is still the directory that a daemon before this one had: another one in its place, such as the empty
/// one below where it was mounted, has none of what was promised.
pub(super) fn is_as_it_was(path: &Path, kept: &mut Inheritance) -> Result<(), DataDirError> {
    let held = kept.held.remove(HELD).and_then(|held| held.into_iter().next());
    let Some(held) = held else { return Ok(()) };
    let ids = |found: &Metadata| (found.dev(), found.ino());
    // What can't be looked at now is said by who opens it.
    let (Ok(was), is) = (File::from(held).metadata(), fs::metadata(path)) else { return Ok(()) };
    match is {
        Ok(is) if ids(&is) == ids(&was) => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Ok(()),
        _ => Err(DataDirError::Gone(path.to_owned())),
    }
}

/// A data directory that is ours as long as this lives.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    lock: File,
}

impl DataDir {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets the keeper have it, for [`is_as_it_was`].
    pub(super) fn hold(&self, keeper: &Link) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        keeper.hold(HELD, &[rustix::fs::open(&self.path, flags, Mode::empty())?]);
        Ok(())
    }

    /// Lets another daemon have it.
    pub(super) fn release(&self) {
        if let Err(error) = flock(&self.lock, FlockOperation::Unlock) {
            tracing::error!(%error, "the data directory could not be left");
        }
    }

    /// Makes an error of something in the directory say where that is and what helps. `what` is such as "can't save
    /// the token in".
    pub(super) fn failed(&self, what: &'static str) -> impl FnOnce(io::Error) -> DataDirError {
        let path = self.path.clone();
        move |source| DataDirError::Unusable { what, path, remedy: remedy(&source), source }
    }

    /// As [`Self::failed`], for the state database.
    pub(super) fn state(&self) -> impl FnOnce(StoreError) -> DaemonError {
        let path = self.path.clone();
        move |source| match source.is_of_the_disk() {
            true => DataDirError::Disk { path, source }.into(),
            false => source.into(),
        }
    }
}

/// Makes the directory where it is missing, tries to write in it and locks it. A daemon that works in it and has lost its
/// keeper leaves it to us, with its instances, if we are a daemon: then `keeper` is ours.
pub(super) fn open(path: &Path, keeper: Option<&Link>) -> Result<DataDir, DataDirError> {
    let unusable = |source: io::Error| {
        let (what, remedy) = ("can't use", remedy(&source));
        DataDirError::Unusable { what, path: path.to_owned(), remedy, source }
    };
    let path = std::path::absolute(path).map_err(unusable)?;
    private_dir(&path).map_err(unusable)?;
    let (owner, uid) = (fs::metadata(&path).map_err(unusable)?.uid(), rustix::process::geteuid().as_raw());
    if owner != uid {
        return Err(DataDirError::Foreign { path, owner, uid });
    }
    match lock::take(&path.join(layout::LOCK), keeper).map_err(unusable)? {
        Ok(lock) => Ok(DataDir { path, lock }),
        Err(pid) => Err(DataDirError::Taken { path, pid }),
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "give it to this user, run as another one, or name another folder with --data-dir"
        }
        io::ErrorKind::ReadOnlyFilesystem => "mount it for writing, or name another folder with --data-dir",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room there",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "something else is in its place: name another folder with --data-dir"
        }
        _ => "name another folder with --data-dir",
    }
}
