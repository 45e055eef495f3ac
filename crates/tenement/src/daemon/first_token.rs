//! The first token: chosen by the administrator, or made at the first start and shown once. Choosing another one ends
//! it.

use tenement_core::layout;
use tenement_runtime::clock;

use super::{DaemonError, data_dir::DataDir};
use crate::{
    store::{Store, random_token},
    token_file,
};

/// Sees to it that there is a token. Returns one that was just made, to be shown.
pub(super) fn settle(
    store: &Store,
    dir: &DataDir,
    chosen: Option<&str>,
) -> Result<Option<String>, DaemonError> {
    if let Some(chosen) = chosen {
        if keep(store, dir, chosen)? {
            tracing::info!(
                "the API token that was given replaces the earlier one, which is not valid any more"
            );
        }
        return Ok(None);
    }
    if store.has_tokens().map_err(dir.state())? {
        return Ok(None);
    }
    let made = random_token()?;
    keep(store, dir, &made)?;
    Ok(Some(made))
}

/// The file first: after a crash in between there is no token yet, and the next start makes another one. The other
/// way round there would be one that nobody knows.
///
/// Returns whether there was another one before.
fn keep(store: &Store, dir: &DataDir, token: &str) -> Result<bool, DaemonError> {
    token_file::save(&dir.path().join(layout::API_TOKEN), token)
        .map_err(dir.failed("can't save the token in"))?;
    store.set_first_token(token, clock::wall()).map_err(dir.state())
}
