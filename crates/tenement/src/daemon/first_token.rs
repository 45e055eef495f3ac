//! The first token: chosen by the administrator, or made at the first start and shown once.

use std::path::Path;

use tenement_core::layout;
use tenement_runtime::clock;

use super::{DaemonError, tried};
use crate::{
    store::{Store, random_token},
    token_file,
};

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
    token_file::save(&dir.join(layout::API_TOKEN), token).map_err(tried("can't save the token"))?;
    store.keep_token("first", token, clock::wall(), None)?;
    Ok(())
}
