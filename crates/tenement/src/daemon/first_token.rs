//! The first token: chosen by the administrator, or made at the first start and shown once.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use tenement_runtime::clock;

use super::{DaemonError, tried};
use crate::store::Store;

const FILE: &str = "api_token";

/// Sees to it that there is a token. Returns one that was just made, to be shown.
pub(super) fn settle(store: &Store, dir: &Path, chosen: Option<&str>) -> Result<Option<String>, DaemonError> {
    if let Some(chosen) = chosen {
        store.keep_token("first", chosen, clock::wall(), None)?;
        save(dir, chosen).map_err(tried("can't save the token"))?;
        return Ok(None);
    }
    if store.has_tokens()? {
        return Ok(None);
    }
    let made = store.new_token("first", clock::wall(), None)?.text;
    save(dir, &made).map_err(tried("can't save the token"))?;
    Ok(Some(made))
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
