//! Tokens: shown once, kept as a hash.

use std::collections::HashMap;

use rusqlite::Connection;
use tenement_core::time::WallMillis;

use super::{
    Store, StoreError,
    valid::{Hash, Valid, hash},
};

const PREFIX: &str = "tenement_";
const RANDOM_BYTES: usize = 24;
/// The id of the first token, of which there is one.
const FIRST: &str = "first";

/// A token that was just made: the only time its text exists.
#[derive(Debug)]
pub struct NewToken {
    /// Names it without giving it away.
    pub id: String,
    /// The token itself.
    pub text: String,
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

/// Reads the tokens that are kept. Expired ones are among them: a clock may go back.
pub(super) fn load(connection: &Connection, valid: &Valid) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare("SELECT hash, expires_at FROM tokens")?;
    let rows = statement.query_map((), |row| {
        let expires_at: Option<i64> = row.get(1)?;
        let expires_at = expires_at.map(|at| WallMillis(u64::try_from(at).unwrap_or(0)));
        Ok((row.get::<_, Hash>(0)?, expires_at))
    })?;
    valid.replace(rows.collect::<Result<HashMap<_, _>, _>>()?);
    Ok(())
}

fn signed(at: WallMillis) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// One that is known already, or an id that is taken, stays as it is.
fn insert(
    connection: &Connection,
    (id, name, text): (&str, &str, &str),
    now: WallMillis,
    expires_at: Option<WallMillis>,
) -> Result<(), rusqlite::Error> {
    connection.execute(
        "INSERT INTO tokens (id, name, hash, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO NOTHING",
        (id, name, hash(text), signed(now), expires_at.map(signed)),
    )?;
    Ok(())
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
        let (text, id) = (random_token()?, hex(&random::<8>()?));
        let connection = self.lock();
        insert(&connection, (&id, name, &text), now, expires_at)?;
        load(&connection, &self.valid)?;
        Ok(NewToken { id, text })
    }

    /// Keeps the first token in place of an earlier first one, which is not valid any more. Returns whether there
    /// was another one.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_first_token(&self, text: &str, now: WallMillis) -> Result<bool, StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let sql = "DELETE FROM tokens WHERE id = ?1 AND hash <> ?2";
        let replaced = transaction.execute(sql, (FIRST, hash(text)))? > 0;
        insert(&transaction, (FIRST, FIRST, text), now, None)?;
        transaction.commit()?;
        load(&connection, &self.valid)?;
        Ok(replaced)
    }

    /// Whether there is any token.
    ///
    /// # Errors
    /// The database failed.
    pub fn has_tokens(&self) -> Result<bool, StoreError> {
        Ok(self.lock().query_row("SELECT EXISTS (SELECT 1 FROM tokens)", (), |row| row.get(0))?)
    }

    /// Whether a text is a token that has not expired. Waits for no disk.
    #[must_use]
    pub fn is_token(&self, text: &str, now: WallMillis) -> bool {
        self.valid.has(text, now)
    }
}
