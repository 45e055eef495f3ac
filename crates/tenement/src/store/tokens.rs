//! Tokens: shown once, kept as a hash.

use std::{
    collections::BTreeSet,
    sync::{Arc, MutexGuard, PoisonError},
};

use rusqlite::{Connection, Row, params};
use tenement_core::{
    name::{InstanceName, ServiceName},
    time::WallMillis,
};

use super::{
    Binding, Grant, Kind, Scope, Share, Store, StoreError, Wanted,
    valid::{Hash, Valid, hash},
};

const PREFIX: &str = "tenement_";
const RANDOM_BYTES: usize = 24;
const ID_BYTES: usize = 8;
/// Of those that one token lets in so many are valid at the same time.
const LET_IN: usize = 1000;
const DELETE: &str = "DELETE FROM tokens WHERE id = ?1";
/// The id of the first token, of which there is one.
const FIRST: &str = "first";

/// A token that was just made: the only time its text exists.
#[derive(Debug)]
pub struct NewToken {
    /// What it allows.
    pub grant: Arc<Grant>,
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

/// Whether a token may have this id.
#[must_use]
pub fn is_token_id(word: &str) -> bool {
    word == FIRST || (word.len() == 2 * ID_BYTES && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The text of a token, 192 random bits, that nobody keeps yet.
///
/// # Errors
/// The kernel gave no random bytes.
pub fn random_token() -> Result<String, StoreError> {
    Ok(format!("{PREFIX}{}", hex(&random::<RANDOM_BYTES>()?)))
}

/// 256 random bits, for what is known by nothing else.
///
/// # Errors
/// The kernel gave no random bytes.
pub fn random_code() -> Result<String, StoreError> {
    Ok(hex(&random::<32>()?))
}

/// Reads the tokens that are kept. Expired ones are among them: a clock may go back.
pub(super) fn load(connection: &Connection, valid: &Valid) -> Result<(), StoreError> {
    let mut statement = connection.prepare("SELECT * FROM tokens")?;
    let mut all = statement.query_and_then((), kept)?.collect::<Result<Vec<_>, _>>()?;
    // Makers first, in whatever order rows come.
    all.sort_by_key(|kept| kept.wanted.kind == Kind::Link);
    for Kept { id, hash, wanted, created_at, last_used } in all {
        let share = match wanted.kind {
            Kind::Token => Some(Share::default()),
            Kind::Link => valid.share_of_session(wanted.maker.as_deref()),
        };
        match share {
            Some(share) => valid.insert(hash, Arc::new(wanted.granted(id, created_at, last_used, share))),
            // It would have ended with its maker, and answers to nobody now.
            None => {
                tracing::warn!(token = id, "a token without the one whose link it was made for is not valid")
            }
        }
    }
    Ok(())
}

/// Whether a row is a token.
pub(super) fn check(row: &Row<'_>) -> Result<(), StoreError> {
    kept(row).map(drop)
}

/// A row.
struct Kept {
    id: String,
    hash: Hash,
    wanted: Wanted,
    created_at: WallMillis,
    last_used: Option<WallMillis>,
}

fn kept(row: &Row<'_>) -> Result<Kept, StoreError> {
    let id: String = row.get("id")?;
    let wanted = wanted(row)?.map_err(|why| StoreError::Damaged(format!("token {id}: {why}")))?;
    let created_at = moment(row, "created_at")?.unwrap_or_default();
    Ok(Kept { id, hash: row.get("hash")?, wanted, created_at, last_used: moment(row, "last_used")? })
}

/// What a row says of a token; in words what is wrong with it.
fn wanted(row: &Row<'_>) -> Result<Result<Wanted, String>, rusqlite::Error> {
    let (scopes, service, id): (String, Option<String>, Option<String>) =
        (row.get("scopes")?, row.get("service")?, row.get("instance")?);
    let (name, maker, expires_at) = (row.get("name")?, row.get("maker")?, moment(row, "expires_at")?);
    let scopes = scopes.split(' ').map(|word| Scope::from_word(word).ok_or(format!("scope '{word}'")));
    let binding = match (service, id) {
        (None, _) => Ok(Binding::Nothing),
        (Some(service), None) => service.parse::<ServiceName>().map(Binding::Service),
        (Some(service), Some(id)) => InstanceName::new(&service, &id).map(Binding::Instance),
    };
    let kind: String = row.get("kind")?;
    let kind = Kind::from_word(&kind).ok_or(format!("kind '{kind}'"));
    let scopes = scopes.collect::<Result<_, _>>();
    let binding = binding.map_err(|error| error.to_string());
    Ok(scopes
        .and_then(|scopes| Ok(Wanted { name, kind: kind?, maker, scopes, binding: binding?, expires_at })))
}

fn moment(row: &Row<'_>, column: &str) -> Result<Option<WallMillis>, rusqlite::Error> {
    let at: Option<i64> = row.get(column)?;
    Ok(at.map(|at| WallMillis(u64::try_from(at).unwrap_or(0))))
}

fn signed(at: WallMillis) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// One that is known already, or an id that is taken, stays as it is.
fn insert(connection: &Connection, grant: &Grant, hash: Hash) -> Result<bool, rusqlite::Error> {
    let scopes: Vec<_> = grant.scopes.iter().map(|scope| scope.as_str()).collect();
    let (service, instance) = match &grant.binding {
        Binding::Nothing => (None, None),
        Binding::Service(service) => (Some(service.as_str()), None),
        Binding::Instance(name) => (Some(name.service.as_str()), Some(name.id.as_str())),
    };
    let inserted = connection.execute(
        "INSERT INTO tokens (id, name, hash, scopes, service, instance, created_at, expires_at, kind, maker)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
        params![
            grant.id,
            grant.name,
            hash,
            scopes.join(" "),
            service,
            instance,
            signed(grant.created_at),
            grant.expires_at.map(signed),
            grant.kind.as_str(),
            grant.maker
        ],
    )?;
    Ok(inserted > 0)
}

impl Store {
    /// Makes a token with 192 random bits, and forgets those of links that ended long ago.
    ///
    /// # Errors
    /// The database failed.
    pub fn new_token(&self, wanted: Wanted, now: WallMillis) -> Result<NewToken, StoreError> {
        let _changing = self.changing_tokens();
        self.make(wanted, Share::default(), now)
    }

    /// The same for a link: `wanted` looks for it and `used` takes it away once it let somebody in, both while no token ends
    /// and no instance is purged, so that what lets in and what is let in end together. `None`: there is no link, or whoever
    /// made it may let in nobody. Of those that one token let in the oldest ends where there are too many.
    ///
    /// # Errors
    /// The database failed.
    pub fn let_in(
        &self,
        wanted: impl FnOnce() -> Option<Wanted>,
        used: impl FnOnce(),
        now: WallMillis,
    ) -> Result<Option<NewToken>, StoreError> {
        let _changing = self.changing_tokens();
        let Some(wanted) = wanted() else { return Ok(None) };
        let Some(share) = self.valid.share_of_session(wanted.maker.as_deref()) else { return Ok(None) };
        let made = self.make(wanted, share, now)?;
        used();
        Ok(Some(made))
    }

    fn make(&self, wanted: Wanted, share: Share, now: WallMillis) -> Result<NewToken, StoreError> {
        let (text, id) = (random_token()?, hex(&random::<ID_BYTES>()?));
        let grant = Arc::new(wanted.granted(id, now, None, share));
        let mut over = self.too_many(&grant.root, now);
        over.extend(self.those(|old| old.is_forgotten(now)));
        self.db.write(|transaction| {
            for id in &over {
                transaction.execute(DELETE, [id])?;
            }
            Ok(insert(transaction, &grant, hash(&text))?)
        })?;
        self.valid.retain(|_, grant| !over.contains(&grant.id));
        self.valid.insert(hash(&text), Arc::clone(&grant));
        Ok(NewToken { grant, text })
    }

    /// Those that end when `root` lets in one more: the oldest that it let in.
    fn too_many(&self, root: &str, now: WallMillis) -> BTreeSet<String> {
        let mut let_in = self.valid.all();
        let_in.retain(|grant| grant.kind == Kind::Link && grant.root == root && grant.is_valid(now));
        let over = (let_in.len() + 1).saturating_sub(LET_IN);
        let_in.iter().take(over).map(|grant| grant.id.clone()).collect()
    }

    /// The ids of some of all tokens.
    fn those(&self, which: impl Fn(&Grant) -> bool) -> BTreeSet<String> {
        self.valid.all().iter().filter(|grant| which(grant)).map(|grant| grant.id.clone()).collect()
    }

    /// Keeps the first token in place of an earlier first one, which is not valid any more. Returns whether there
    /// was another one.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_first_token(&self, text: &str, now: WallMillis) -> Result<bool, StoreError> {
        let hash = hash(text);
        let grant = Arc::new(Wanted::admin(FIRST).granted(FIRST.to_owned(), now, None, Share::default()));
        let _changing = self.changing_tokens();
        let over = self.those(|grant| grant.id != FIRST && grant.root == FIRST);
        let (replaced, inserted) = self.db.write(|transaction| {
            let sql = "DELETE FROM tokens WHERE id = ?1 AND hash <> ?2";
            let replaced = transaction.execute(sql, (FIRST, hash))? > 0;
            for id in over.iter().filter(|_| replaced) {
                transaction.execute(DELETE, [id])?;
            }
            Ok((replaced, insert(transaction, &grant, hash)?))
        })?;
        if replaced {
            self.valid
                .retain(|other, grant| (grant.id != FIRST || *other == hash) && !over.contains(&grant.id));
        }
        if inserted {
            self.valid.insert(hash, grant);
        }
        Ok(replaced)
    }

    /// Ends a token, and those that were made for its links. Returns whether there was one of this id.
    ///
    /// # Errors
    /// The database failed; the token is still valid.
    pub fn revoke_token(&self, id: &str) -> Result<bool, StoreError> {
        let _changing = self.changing_tokens();
        let over = self.those(|grant| grant.id == id || grant.root == id);
        self.db.write(|transaction| {
            for id in &over {
                transaction.execute(DELETE, [id])?;
            }
            Ok(())
        })?;
        self.valid.retain(|_, grant| !over.contains(&grant.id));
        Ok(over.contains(id))
    }

    /// Nobody else makes or ends a token while it is held.
    pub(super) fn changing_tokens(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every token, the expired ones too, in the order they were made.
    #[must_use]
    pub fn tokens(&self) -> Vec<Arc<Grant>> {
        self.valid.all()
    }

    /// Writes down when each token was last used: that is noted in memory only while requests are served.
    ///
    /// # Errors
    /// The database failed.
    pub fn save_last_used(&self) -> Result<(), StoreError> {
        self.db.write(|transaction| {
            for grant in self.valid.all() {
                let sql = "UPDATE tokens SET last_used = ?2 WHERE id = ?1 AND last_used IS NOT ?2";
                transaction.execute(sql, (&grant.id, grant.last_used().map(signed)))?;
            }
            Ok(())
        })
    }

    /// Whether there is any token.
    ///
    /// # Errors
    /// The database failed.
    pub fn has_tokens(&self) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM tokens)";
        self.db.read(|db| Ok(db.query_row(sql, (), |row| row.get(0))?))
    }

    /// What a text allows, if it is a token that has not expired. Waits for no disk.
    #[must_use]
    pub fn grant(&self, text: &str, now: WallMillis) -> Option<Arc<Grant>> {
        self.valid.find(text, now)
    }
}
