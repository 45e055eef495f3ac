//! The tokens that are valid, in memory: they are asked for at every request, and nothing on that way may wait for a
//! disk.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tenement_core::time::WallMillis;

/// What is kept of a token.
pub(super) type Hash = [u8; 32];

pub(super) fn hash(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

/// Hashes, and when each expires. The lock is held for a look only.
#[derive(Debug, Default)]
pub(super) struct Valid(RwLock<HashMap<Hash, Option<WallMillis>>>);

impl Valid {
    pub(super) fn replace(&self, all: HashMap<Hash, Option<WallMillis>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = all;
    }

    /// Looked up by hash, so that the time it takes says nothing about how much of a token was right.
    pub(super) fn has(&self, text: &str, now: WallMillis) -> bool {
        let hash = hash(text);
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get_key_value(&hash).is_some_and(|(found, expires)| {
            bool::from(found.ct_eq(&hash)) && expires.is_none_or(|expires| expires > now)
        })
    }
}
