//! Puts files of the data directory in place of others: all of them or none, also when killed or out of room.
//!
//! ```text
//!   .staging/ is filled, synced ─► renamed to .swap-SUFFIX ─► what leaves gets SUFFIX ─► what comes is moved in ─► gone
//!        └── killed: thrown away        └────────── killed: gone on with at the next start ───────────┘
//! ```

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

const STAGING: &str = ".staging";
const READY: &str = ".swap-";
/// In a folder that is ready: the names that leave, one on a line.
const LEAVING: &str = ".leaving";

/// Files that are to come.
#[derive(Debug)]
pub(crate) struct Swap {
    data_dir: PathBuf,
    folder: PathBuf,
}

impl Swap {
    /// Begins with an empty folder. What another one that was not ready had is thrown away.
    ///
    /// # Errors
    /// The folder can't be made.
    pub(crate) fn begin(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join(STAGING);
        throw_away(&folder)?;
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self { data_dir: data_dir.to_owned(), folder })
    }

    /// Where files that are to come are put. What is not committed is thrown away.
    #[must_use]
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts what is in the folder in place. `leaving`, of whatever is there of that, is kept with a suffix.
    ///
    /// # Errors
    /// It is done at the next start, or everything is as it was.
    pub(crate) fn commit(self, leaving: &[&str], suffix: &str) -> io::Result<()> {
        let mut list =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.folder.join(LEAVING))?;
        list.write_all(leaving.join("\n").as_bytes())?;
        for file in files(&self.folder)? {
            File::open(self.folder.join(file))?.sync_all()?;
        }
        sync(&self.folder)?;
        let ready = self.data_dir.join(format!("{READY}{suffix}"));
        fs::rename(&self.folder, &ready)?;
        sync(&self.data_dir)?;
        go_on(&self.data_dir, &ready, suffix)
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        if let Err(error) = throw_away(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "could not be removed");
        }
    }
}

/// Goes on with what was killed, and throws away what was not ready. For whoever has the lock of the data directory,
/// before anything in it is opened.
///
/// # Errors
/// It can't be done now; nothing in the directory may be used.
pub(crate) fn finish(data_dir: &Path) -> io::Result<()> {
    for name in files(data_dir)? {
        if let Some(suffix) = name.strip_prefix(READY) {
            go_on(data_dir, &data_dir.join(&name), suffix)?;
        }
    }
    throw_away(&data_dir.join(STAGING))
}

fn go_on(data_dir: &Path, ready: &Path, suffix: &str) -> io::Result<()> {
    let list = ready.join(LEAVING);
    match fs::read_to_string(&list) {
        Ok(names) => {
            for name in names.lines() {
                missing_is_fine(fs::rename(data_dir.join(name), data_dir.join(aside(name, suffix))))?;
            }
            sync(data_dir)?;
            // From here on what has one of these names is new.
            fs::remove_file(&list)?;
            sync(ready)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    for name in files(ready)? {
        fs::rename(ready.join(&name), data_dir.join(&name))?;
    }
    sync(data_dir)?;
    fs::remove_dir(ready)?;
    sync(data_dir)
}

/// What a file that leaves is called. What SQLite has beside a database stays beside it.
#[must_use]
pub(crate) fn aside(name: &str, suffix: &str) -> String {
    let beside = ["-wal", "-shm"].into_iter().find_map(|end| Some((name.strip_suffix(end)?, end)));
    let (name, end) = beside.unwrap_or((name, ""));
    format!("{name}.{suffix}{end}")
}

fn files(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

fn throw_away(folder: &Path) -> io::Result<()> {
    #[allow(
        clippy::disallowed_methods,
        reason = "a folder of the daemon's own, which no tenant can write to"
    )]
    missing_is_fine(fs::remove_dir_all(folder))
}

fn missing_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests write files")]
mod tests {
    use super::*;

    fn read(folder: &Path) -> Vec<(String, String)> {
        let text = |name: &String| fs::read_to_string(folder.join(name)).unwrap();
        files(folder).unwrap().into_iter().map(|name| (name.clone(), text(&name))).collect()
    }

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn old(folder: &Path) {
        for name in ["a.db", "a.db-wal", "other"] {
            fs::write(folder.join(name), "old").unwrap();
        }
    }

    const AFTER: [(&str, &str); 5] =
        [("a.db", "new"), ("a.db.x-7", "old"), ("a.db.x-7-wal", "old"), ("b", "new"), ("other", "old")];

    #[test]
    fn what_comes_takes_the_place_of_what_leaves() {
        let folder = tempfile::tempdir().unwrap();
        old(folder.path());
        let swap = Swap::begin(folder.path()).unwrap();
        fs::write(swap.folder().join("a.db"), "new").unwrap();
        drop(swap);
        assert_eq!(read(folder.path()).len(), 3, "not committed");
        let swap = Swap::begin(folder.path()).unwrap();
        fs::write(swap.folder().join("a.db"), "new").unwrap();
        fs::write(swap.folder().join("b"), "new").unwrap();
        swap.commit(&["a.db-wal", "a.db-shm", "a.db", "b"], "x-7").unwrap();
        assert_eq!(read(folder.path()), pairs(&AFTER));
    }

    // faults: D1
    #[test]
    fn what_was_killed_halfway_is_gone_on_with() {
        for moved in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path();
            old(path);
            let ready = path.join(".swap-x-7");
            fs::create_dir(&ready).unwrap();
            fs::write(ready.join(LEAVING), "a.db-wal\na.db\nb").unwrap();
            fs::write(ready.join("a.db"), "new").unwrap();
            fs::write(ready.join("b"), "new").unwrap();
            let steps: [&dyn Fn(); 4] = [
                &|| fs::rename(path.join("a.db-wal"), path.join("a.db.x-7-wal")).unwrap(),
                &|| fs::rename(path.join("a.db"), path.join("a.db.x-7")).unwrap(),
                &|| fs::remove_file(ready.join(LEAVING)).unwrap(),
                &|| fs::rename(ready.join("a.db"), path.join("a.db")).unwrap(),
            ];
            steps.iter().take(moved).for_each(|step| step());
            fs::create_dir(path.join(STAGING)).unwrap();
            finish(path).unwrap();
            assert_eq!(read(path), pairs(&AFTER), "{moved}");
        }
    }
}
