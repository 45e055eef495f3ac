//! Answers that are given again when a request is repeated with its `Idempotency-Key`.
//!
//! They may hold a token, which nobody but its owner is to have; so they are sealed with a key made of what the
//! client sent, which is not kept, and of a secret that is not in the database.

use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit,
    aead::{Aead, array::Array},
};
use rusqlite::OptionalExtension;
use sha2::{Digest, Sha256};
use tenement_core::time::WallMillis;

use super::{Store, StoreError};

/// How long an answer is kept, in milliseconds.
const KEPT_MS: u64 = 24 * 3600 * 1000;
const NONCE: usize = 12;

/// Whose repetition of which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AnswerKey {
    /// What the answer is found by.
    slot: [u8; 32],
    /// What it is sealed with.
    seal: [u8; 32],
}

impl AnswerKey {
    fn new(seal: &str, caller: &str, secret: &str, key: &str) -> Self {
        let digest = |purpose: &str| {
            let parts = [purpose, seal, caller, secret, key].map(|part| Sha256::digest(part.as_bytes()));
            Sha256::digest(parts.concat()).into()
        };
        Self { slot: digest("slot"), seal: digest("seal") }
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&Array::from(self.seal))
    }
}

/// An answer that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What was asked, as a hash.
    pub request: [u8; 32],
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

impl Store {
    /// The key of a request: `caller` is who sent it, `secret` what only they know, `key` what they called it.
    #[must_use]
    pub fn answer_key(&self, caller: &str, secret: &str, key: &str) -> AnswerKey {
        AnswerKey::new(&self.seal, caller, secret, key)
    }

    /// The answer that was given, if it was in the last 24 hours.
    ///
    /// # Errors
    /// The database failed, or the row is damaged.
    pub fn answer(&self, key: &AnswerKey, now: WallMillis) -> Result<Option<Answer>, StoreError> {
        let since = i64::try_from(now.0.saturating_sub(KEPT_MS)).unwrap_or(i64::MAX);
        let sql = "SELECT request, status, body FROM answers WHERE key = ?1 AND at > ?2";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?));
        let found = self.db.read(|db| Ok(db.query_row(sql, (key.slot, since), read).optional()?))?;
        let Some((request, status, sealed)) = found else { return Ok(None) };
        let damaged = || StoreError::Damaged("an answer can't be opened".to_owned());
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
        let body = key.cipher().decrypt(&Array::from(*nonce), sealed).map_err(|_| damaged())?;
        Ok(Some(Answer { request, status, body }))
    }

    /// Keeps an answer; durable when it returns. Lets go of those that are too old.
    ///
    /// # Errors
    /// The database failed.
    pub fn keep_answer(&self, key: &AnswerKey, answer: &Answer, now: WallMillis) -> Result<(), StoreError> {
        let mut sealed = vec![0; NONCE];
        getrandom::fill(&mut sealed).map_err(StoreError::Random)?;
        let nonce = *sealed.first_chunk::<NONCE>().unwrap_or(&[0; NONCE]);
        let body = key.cipher().encrypt(&Array::from(nonce), answer.body.as_slice());
        sealed.extend(body.map_err(|_| StoreError::Damaged("an answer can't be sealed".to_owned()))?);
        let now_ms = i64::try_from(now.0).unwrap_or(i64::MAX);
        self.db.write(|transaction| {
            transaction.execute("DELETE FROM answers WHERE at <= ?1", [now_ms - KEPT_MS as i64])?;
            transaction.execute(
                "INSERT OR REPLACE INTO answers (key, request, status, body, at) VALUES (?1, ?2, ?3, ?4, ?5)",
                (key.slot, answer.request, answer.status, sealed, now_ms),
            )?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: A10
    #[test]
    fn an_answer_is_kept_for_a_day_for_its_caller_and_can_be_read_by_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let store = Store::open(&path).unwrap();
        let key = store.answer_key("t1", "secret", "key");
        let answer = Answer { request: [7; 32], status: 201, body: b"a token nobody may read".to_vec() };
        store.keep_answer(&key, &answer, WallMillis(KEPT_MS)).unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.answer(&key, WallMillis(2 * KEPT_MS - 1)).unwrap(), Some(answer.clone()));
        assert_eq!(store.answer(&key, WallMillis(2 * KEPT_MS)).unwrap(), None);
        for other in [("t2", "secret", "key"), ("t1", "secret", "other")] {
            let other = store.answer_key(other.0, other.1, other.2);
            assert_eq!(store.answer(&other, WallMillis(KEPT_MS)).unwrap(), None);
        }
        let next = store.answer_key("t1", "secret", "next");
        store.keep_answer(&next, &answer, WallMillis(2 * KEPT_MS)).unwrap();
        let count = |store: &Store| -> i64 {
            let count = |db: &rusqlite::Connection| {
                Ok(db.query_row("SELECT COUNT(*) FROM answers", (), |row| row.get(0))?)
            };
            store.db.read(count).unwrap()
        };
        assert_eq!(count(&store), 1, "the old one is gone");
        drop(store);
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(12).any(|window| window == b"token nobody"));
        }
    }
}
