//! The configuration that is in effect, kept for the next daemon should this one die: the file may be half-edited by then.
//!
//! ```text
//!   first start: file ─► checked ─► held by the keeper ─► started again: the very same text
//!   retention --apply: file ─► checked ─► held beside it ───────┘ and its keys log_*
//! ```

use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::{
            ffi::{OsStrExt, OsStringExt},
            fs::FileExt,
        },
    },
    path::{Path, PathBuf},
};

use rustix::fs::{MemfdFlags, memfd_create};
use tenement_core::config::Parsed;
use tenement_runtime::keeper::{Inheritance, Link};

use crate::config_file::{self, FileError};

/// What the daemon was started with.
const WHOLE: &str = "config";
/// What keys `log_*` were taken from while it ran.
const LOG_KEYS: &str = "config:log";

/// A file as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Where it stood.
    pub path: PathBuf,
    /// What stood in it.
    pub bytes: Vec<u8>,
}

/// What becomes of a file that was read at the start, once requests are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is in effect.
    Keep(Text),
    /// What the predecessor had in effect still is; the file is taken as by a reload.
    Reload,
}

impl Text {
    /// Checks it.
    ///
    /// # Errors
    /// As [`config_file::check`].
    pub fn check(&self) -> Result<Parsed, FileError> {
        let failed = |source| FileError::Read { path: self.path.clone(), source };
        config_file::check(&self.bytes, &self.path).map_err(failed)
    }
}

/// Has it kept, for [`take`].
///
/// # Errors
/// There is no memory or no descriptor for it.
pub fn keep(keeper: &Link, text: &Text) -> io::Result<()> {
    keeper.hold(WHOLE, &[in_memory(text)?]);
    keeper.drop_held(LOG_KEYS);
    Ok(())
}

/// The same for a file of which only the keys `log_*` were taken since.
///
/// # Errors
/// As for [`keep`].
pub fn keep_log_keys(keeper: &Link, text: &Text) -> io::Result<()> {
    keeper.hold(LOG_KEYS, &[in_memory(text)?]);
    Ok(())
}

/// What a daemon before had kept: the whole, and what log keys were taken from since. It stays kept.
#[must_use]
pub fn take(inheritance: &mut Inheritance) -> Option<(Text, Option<Text>)> {
    let mut take = |name| read(inheritance.held.remove(name)?.into_iter().next()?).ok();
    let log_keys = take(LOG_KEYS);
    Some((take(WHOLE)?, log_keys))
}

/// The path, a zero byte, the text.
fn in_memory(text: &Text) -> io::Result<OwnedFd> {
    let file = memfd_create("tenement-config", MemfdFlags::CLOEXEC)?;
    let mut file = File::from(file);
    file.write_all(&[path_of(&text.path), b"\0", &text.bytes].concat())?;
    Ok(file.into())
}

fn path_of(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// Where reading begins is shared with whoever else has the descriptor, so it is said each time.
fn read(held: OwnedFd) -> io::Result<Text> {
    let file = File::from(held);
    let mut all = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or_default()];
    file.read_exact_at(&mut all, 0)?;
    let end = all.iter().position(|&byte| byte == 0).ok_or(io::ErrorKind::InvalidData)?;
    let bytes = all.split_off(end + 1);
    all.truncate(end);
    Ok(Text { path: std::ffi::OsString::from_vec(all).into(), bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_as_it_was_and_may_be_read_twice() {
        let text = Text { path: "/etc/\u{fc}/tenement.toml".into(), bytes: b"[settings]\0\n".to_vec() };
        let held = in_memory(&text).unwrap();
        let again = held.try_clone().unwrap();
        assert_eq!(read(held).unwrap(), text);
        assert_eq!(read(again).unwrap(), text);
    }
}
