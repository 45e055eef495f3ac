//! Tokens: shown once, kept as a hash.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tenement_core::time::WallMillis;

use super::{Store, StoreError};

const PREFIX: &str = "tenement_";
const RANDOM_BYTES: usize = 24;

/// A token that was just made: the only time its text exists.
#[derive(Debug)]
pub struct NewToken {
    /// Names it without giving it away.
    pub id: String,
    /// The token itself.
    pub text: String,
}

fn hash(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(StoreError::Random)?;
    Ok(bytes)
}

/// The text of a token, 192 random bits, that nobody keeps yet.
///
/// # Errors
/// The kernel gave no random bytes.
pub fn random_token() -> Result<String, StoreError> {
    Ok(format!("{PREFIX}{}", hex(&random::<RANDOM_BYTES>()?)))
}

impl Store {
    /// Makes a token with 192 random bits.
    ///
    /// # Errors
    /// The database failed.
    pub fn new_token(
        &self,
        name: &str,
        now: WallMillis,
        expires_at: Option<WallMillis>,
    ) -> Result<NewToken, StoreError> {
        let text = random_token()?;
        let id = self.keep_token(name, &text, now, expires_at)?;
        Ok(NewToken { id, text })
    }

    /// Keeps a token whose text was chosen by the administrator. One that is known already stays as it is.
    ///
    /// # Errors
    /// The database failed.
    pub fn keep_token(
        &self,
        name: &str,
        text: &str,
        now: WallMillis,
        expires_at: Option<WallMillis>,
    ) -> Result<String, StoreError> {
        let id = hex(&random::<8>()?);
        let signed = |at: WallMillis| i64::try_from(at.0).unwrap_or(i64::MAX);
        self.lock().execute(
            "INSERT INTO tokens (id, name, hash, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (hash) DO NOTHING",
            (&id, name, hash(text), signed(now), expires_at.map(signed)),
        )?;
        Ok(id)
    }

    /// Whether there is any token.
    ///
    /// # Errors
    /// The database failed.
    pub fn has_tokens(&self) -> Result<bool, StoreError> {
        Ok(self.lock().query_row("SELECT EXISTS (SELECT 1 FROM tokens)", (), |row| row.get(0))?)
    }

    /// Whether a text is a token that has not expired. Looked up by hash, so that the time it takes says
    /// nothing about how much of a token was right.
    ///
    /// # Errors
    /// The database failed.
    pub fn is_token(&self, text: &str, now: WallMillis) -> Result<bool, StoreError> {
        use rusqlite::OptionalExtension;
        let hash = hash(text);
        let found = self
            .lock()
            .query_row("SELECT hash, expires_at FROM tokens WHERE hash = ?1", [&hash], |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<i64>>(1)?))
            })
            .optional()?;
        let alive = |at: Option<i64>| at.is_none_or(|at| u64::try_from(at).unwrap_or(0) > now.0);
        Ok(found.is_some_and(|(stored, expires)| bool::from(stored.ct_eq(&hash)) && alive(expires)))
    }
}
