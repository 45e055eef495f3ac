//! The first token: chosen by the administrator, or made at the first start and shown once.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use tenement_runtime::clock;

use super::{DaemonError, tried};
use crate::store::{Store, random_token};

const FILE: &str = "api_token";

/// Sees to it that there is a token. Returns one that was just made, to be shown.
pub(super) fn settle(store: &Store, dir: &Path, chosen: Option<&str>) -> Result<Option<String>, DaemonError> {
    if let Some(chosen) = chosen {
        keep(store, dir, chosen)?;
        return Ok(None);
    }
    if store.has_tokens()? {
        return Ok(None);
    }
    let made = random_token()?;
    keep(store, dir, &made)?;
    Ok(Some(made))
}

/// The file first: after a crash in between there is no token yet, and the next start makes another one. The other
/// way round there would be one that nobody knows.
fn keep(store: &Store, dir: &Path, token: &str) -> Result<(), DaemonError> {
    save(dir, token).map_err(tried("can't save the token"))?;
    store.keep_token("first", token, clock::wall(), None)?;
    Ok(())
}

/// Replaces the file whole or not at all.
fn save(dir: &Path, token: &str) -> io::Result<()> {
    let fresh = dir.join("api_token.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    fs::rename(&fresh, dir.join(FILE))?;
    fs::File::open(dir)?.sync_all()
}
