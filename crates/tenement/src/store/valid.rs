//! The tokens that are valid, in memory: they are asked for at every request, and nothing on that way may wait for a
//! disk.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tenement_core::time::WallMillis;

use super::{Grant, Kind, Share};

/// What is kept of a token.
pub(super) type Hash = [u8; 32];

pub(super) fn hash(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

/// Hashes, and what each allows. The lock is held for a look only.
#[derive(Debug, Default)]
pub(super) struct Valid {
    all: RwLock<HashMap<Hash, Arc<Grant>>>,
    /// Of the machine's own administrator, for those who come by a link of theirs.
    local: Share,
}

impl Valid {
    pub(super) fn insert(&self, hash: Hash, grant: Arc<Grant>) {
        self.all.write().unwrap_or_else(PoisonError::into_inner).insert(hash, grant);
    }

    /// Ends those that are not wanted any more, and what was let through with them.
    pub(super) fn retain(&self, wanted: impl Fn(&Hash, &Grant) -> bool) {
        self.all.write().unwrap_or_else(PoisonError::into_inner).retain(|hash, grant| {
            let stays = wanted(hash, grant);
            if !stays {
                grant.revoke();
            }
            stays
        });
    }

    /// Looked up by hash, so that the time it takes says nothing about how much of a token was right.
    pub(super) fn find(&self, text: &str, now: WallMillis) -> Option<Arc<Grant>> {
        let hash = hash(text);
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let (found, grant) = all.get_key_value(&hash)?;
        let same = bool::from(found.ct_eq(&hash));
        (same && !grant.is_expired(now)).then(|| {
            grant.touch(now);
            Arc::clone(grant)
        })
    }

    /// The share of who is let in by the token of this id, or by the machine's own administrator. `None`: there is no such
    /// token, or it is one that was let in itself.
    pub(super) fn share_of_session(&self, maker: Option<&str>) -> Option<Share> {
        let Some(id) = maker else { return Some(self.local.of_session()) };
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let maker = all.values().find(|grant| grant.id == id && grant.kind == Kind::Token)?;
        Some(maker.share.of_session())
    }

    /// All of them, the expired ones too, in the order they were made.
    pub(super) fn all(&self) -> Vec<Arc<Grant>> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = all.values().cloned().collect();
        all.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        all
    }
}
