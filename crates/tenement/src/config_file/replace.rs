//! Puts another text in the place of a file: all of it, or nothing.
//!
//! ```text
//!   end of the links ─► a file beside it: text, owner, mode, fsync ─► still what was meant? ─► rename ─► fsync of the folder
//!                              └───────── anything else: it is removed, and nothing has changed ─┘
//! ```
//!
//! That file has the same name each time, and a lock as long as somebody writes it: what a killed daemon left of it, with
//! whatever secrets are in it, is removed by the next one, or by the next who writes.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, FlockOperation, OFlags, access, fchown, flock},
    io::Errno,
    process::{Gid, Uid},
};

/// Why a file is what it was.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// Something else stands in it than was meant to be replaced.
    #[error("it was changed meanwhile")]
    Changed,
    /// A folder, a device, a FIFO.
    #[error("it is not a regular file")]
    NotAFile,
    /// Somebody else is about to replace it.
    #[error("it is being saved by another process just now; try again")]
    Busy,
    /// Something of the system failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

fn tried(what: &'static str) -> impl Fn(io::Error) -> ReplaceError {
    move |source| ReplaceError::Io { what, source }
}

/// Replaces what stands in a file, if that is `before`; durable when it returns. Mode and owner stay. A link goes on leading
/// where it leads: what is there is replaced.
///
/// # Errors
/// It can't be written, or something else stands in it: nothing has changed then. Only when the folder can't be synced it is
/// not known which text a power cut leaves.
pub fn replace(path: &Path, before: &[u8], text: &[u8]) -> Result<(), ReplaceError> {
    let target = fs::canonicalize(path).map_err(tried("it can't be found"))?;
    let found = fs::metadata(&target).map_err(tried("it can't be looked at"))?;
    if !found.is_file() {
        return Err(ReplaceError::NotAFile);
    }
    // Whoever may write to its folder could put another one in its place, and root anything; that it is not to be written is
    // respected.
    let read_only = tried("it is read-only");
    if found.mode() & 0o222 == 0 {
        return Err(read_only(io::ErrorKind::PermissionDenied.into()));
    }
    access(&target, Access::WRITE_OK).map_err(|errno| read_only(errno.into()))?;
    let folder = target.parent().unwrap_or(Path::new("/"));
    let beside = beside(&target);
    let mut file = take(&beside)?;
    let written = write(&mut file, &found, text).and_then(|()| {
        let now = super::read(&target).map_err(|_| ReplaceError::Changed)?;
        if now != before {
            return Err(ReplaceError::Changed);
        }
        fs::rename(&beside, &target).map_err(tried("its place can't be taken"))
    });
    if let Err(error) = written {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    let sync = || File::open(folder)?.sync_all();
    sync().map_err(tried("its folder can't be synced"))
}

/// Removes what a daemon that was killed left beside a file, unless somebody is writing it.
pub fn tidy(path: &Path) {
    let Ok(target) = fs::canonicalize(path) else { return };
    let beside = beside(&target);
    match clear(&beside) {
        Ok(true) => {
            tracing::info!(path = %beside.display(), "removed what was left of a save that did not come to its end")
        }
        Ok(false) | Err(ReplaceError::Busy) => {}
        Err(error) => tracing::warn!(
            path = %beside.display(), %error,
            "what was left of a save that did not come to its end may hold secrets: remove it"
        ),
    }
}

fn beside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.saving"))
}

/// Removes the file that is left, if there is one and nobody writes it. Whether there was.
fn clear(path: &Path) -> Result<bool, ReplaceError> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    match options.open(path) {
        Ok(file) => lock(&file, path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        // Perhaps another user's daemon is writing it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(tried("a file beside it is somebody else's")(error));
        }
        // A link: nobody writes that.
        Err(_) => {}
    }
    fs::remove_file(path).map_err(tried("a file beside it can't be removed"))?;
    Ok(true)
}

/// A new file that nobody else writes or removes as long as it is open.
fn take(path: &Path) -> Result<File, ReplaceError> {
    clear(path)?;
    // It may hold secrets: nobody else reads it before it has its mode.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => ReplaceError::Busy,
        _ => tried("no file can be made beside it")(error),
    })?;
    lock(&file, path)?;
    Ok(file)
}

/// Locks what is at `path`, and is still there once it is locked.
fn lock(file: &File, path: &Path) -> Result<(), ReplaceError> {
    let looked = tried("a file beside it can't be looked at");
    flock(file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| match errno {
        Errno::WOULDBLOCK => ReplaceError::Busy,
        other => looked(other.into()),
    })?;
    let (own, there) = (file.metadata().map_err(&looked)?, fs::symlink_metadata(path));
    let same = there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino()));
    if same { Ok(()) } else { Err(ReplaceError::Busy) }
}

fn write(file: &mut File, like: &fs::Metadata, text: &[u8]) -> Result<(), ReplaceError> {
    file.write_all(text).map_err(tried("its text can't be written"))?;
    let new = file.metadata().map_err(tried("a file beside it can't be looked at"))?;
    if (new.uid(), new.gid()) != (like.uid(), like.gid()) {
        let (owner, group) = (Uid::from_raw(like.uid()), Gid::from_raw(like.gid()));
        let owned = fchown(&*file, Some(owner), Some(group));
        owned.map_err(|errno| tried("its owner can't be kept")(errno.into()))?;
    }
    let mode = Permissions::from_mode(like.mode() & 0o7777);
    file.set_permissions(mode).map_err(tried("its mode can't be kept"))?;
    file.sync_all().map_err(tried("its text can't be written"))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests write files")]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_keeps_its_mode_and_owner_and_a_link_leads_where_it_led() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real.toml"), folder.path().join("link.toml"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("real.toml", &link).unwrap();
        if rustix::process::geteuid().is_root() {
            rustix::fs::chown(&file, Some(Uid::from_raw(12)), Some(Gid::from_raw(34))).unwrap();
        }
        let before = fs::metadata(&file).unwrap();
        replace(&link, b"old", b"new").unwrap();
        let after = fs::metadata(&file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(folder.path()), ["link.toml", "real.toml"]);
    }

    #[test]
    fn what_is_not_meant_or_no_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        fs::write(&file, "other").unwrap();
        assert!(matches!(replace(&file, b"old", b"new"), Err(ReplaceError::Changed)));
        assert!(matches!(replace(folder.path(), b"", b"new"), Err(ReplaceError::NotAFile)));
        fs::set_permissions(&file, Permissions::from_mode(0o444)).unwrap();
        let refused = replace(&file, b"other", b"new").unwrap_err().to_string();
        assert!(refused.starts_with("it is read-only"), "{refused}");
        let gone = replace(&folder.path().join("none"), b"", b"new").unwrap_err();
        assert!(matches!(&gone, ReplaceError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound));
        assert_eq!(fs::read(&file).unwrap(), b"other");
        assert_eq!(names(folder.path()), ["a.toml"]);
    }

    #[test]
    fn what_a_killed_daemon_left_goes_with_the_next_save_or_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        fs::write(&file, "old").unwrap();
        let left = folder.path().join(".a.toml.saving");
        fs::write(&left, "API_KEY = 'secret'").unwrap();
        replace(&file, b"old", b"new").unwrap();
        assert_eq!(
            (fs::read(&file).unwrap(), names(folder.path())),
            (b"new".to_vec(), vec!["a.toml".into()])
        );
        std::os::unix::fs::symlink("a.toml", &left).unwrap();
        tidy(&file);
        assert_eq!(
            (fs::read(&file).unwrap(), names(folder.path())),
            (b"new".to_vec(), vec!["a.toml".into()])
        );
    }

    #[test]
    fn while_another_process_saves_nothing_is_taken_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        fs::write(&file, "old").unwrap();
        let other = take(&beside(&file)).unwrap();
        assert!(matches!(replace(&file, b"old", b"new"), Err(ReplaceError::Busy)));
        tidy(&file);
        assert_eq!(names(folder.path()), [".a.toml.saving", "a.toml"]);
        drop(other);
        replace(&file, b"old", b"new").unwrap();
        assert_eq!(names(folder.path()), ["a.toml"]);
    }
}
