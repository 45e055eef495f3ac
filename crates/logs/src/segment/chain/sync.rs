//! A segment that grows is synced from time to time, so that a power cut costs little.

use std::{fs::File, io, path::PathBuf};

use super::{Chain, data_path, marks_path};

/// The last segment of a stream, with bytes that were not synced.
#[derive(Debug)]
pub(crate) enum Unsynced {
    /// It was not there when this was asked before: it may be full soon, and then it is packed anyway.
    New,
    /// Its files, and the directory where that may not have them yet.
    Files(Vec<PathBuf>),
}

impl Unsynced {
    pub(crate) fn is_new(&self) -> bool {
        matches!(self, Self::New)
    }

    /// What was erased meanwhile needs nothing.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let Self::Files(paths) = self else { return Ok(()) };
        paths.iter().try_for_each(|path| match File::open(path).and_then(|file| file.sync_data()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        })
    }
}

impl Chain {
    /// What is to be synced now, if anything.
    pub(crate) fn sync_due(&mut self) -> Option<Unsynced> {
        let last = self.segments.back().filter(|last| last.packed.is_none() && last.len > 0)?;
        let (base, len) = (last.base, last.len);
        let before = self.synced.replace((base, len));
        match before {
            Some((known, synced)) if known == base => {
                (synced != len || synced == 0).then(|| self.files_of(base))
            }
            _ => {
                self.synced = Some((base, 0));
                Some(Unsynced::New)
            }
        }
    }

    fn files_of(&self, base: u64) -> Unsynced {
        let files = [data_path, marks_path].map(|path| path(&self.dir, self.stream, base));
        Unsynced::Files([&files[..], &[self.dir.to_path_buf()]].concat())
    }
}
