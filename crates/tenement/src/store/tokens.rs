//! Tokens: shown once, kept as a hash.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, MutexGuard, PoisonError},
};

use rusqlite::{Connection, Row, params};
use tenement_core::{
    name::{InstanceName, ServiceName},
    time::WallMillis,
};

use super::{
    Binding, Grant, Kind, Scope, Store, StoreError, Wanted,
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
    let mut kept = statement.query_and_then((), kept)?.collect::<Result<Vec<_>, _>>()?;
    let mut loaded: HashMap<String, Arc<Grant>> = HashMap::new();
    // Makers first, in whatever order rows come.
    loop {
        let ready =
            |kept: &mut Kept| kept.wanted.maker.as_ref().is_none_or(|maker| loaded.contains_key(maker));
        let ready: Vec<_> = kept.extract_if(.., ready).collect();
        if ready.is_empty() {
            break;
        }
        for kept in ready {
            let hash = kept.hash;
            let grant = Arc::new(kept.granted(|maker| loaded.get(maker).cloned()));
            loaded.insert(grant.id.clone(), Arc::clone(&grant));
            valid.insert(hash, grant);
        }
    }
    for orphan in kept {
        // It would have ended with its maker, and answers to nobody now.
        tracing::warn!(token = orphan.id, "a token without the one whose link it was made for is not valid");
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

impl Kept {
    fn granted(self, maker: impl FnOnce(&str) -> Option<Arc<Grant>>) -> Grant {
        let maker = self.wanted.maker.as_deref().and_then(maker);
        self.wanted.granted(self.id, self.created_at, self.last_used, maker.as_deref())
    }
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
        self.make(wanted, None, now)
    }

    /// The same for a link: `wanted` takes it, while no token ends and no instance is purged, so that what lets in and what
    /// is let in end together. `None`: there is no link, or its maker is not valid any more. Of those that one token let in,
    /// itself or by others, the oldest ends where there are too many.
    ///
    /// # Errors
    /// The database failed.
    pub fn let_in(
        &self,
        wanted: impl FnOnce() -> Option<Wanted>,
        now: WallMillis,
    ) -> Result<Option<NewToken>, StoreError> {
        let _changing = self.changing_tokens();
        let Some(wanted) = wanted() else { return Ok(None) };
        let Some(maker) = &wanted.maker else { return self.make(wanted, None, now).map(Some) };
        let Some(maker) = self.valid.by_id(maker).filter(|maker| maker.is_valid(now)) else {
            return Ok(None);
        };
        self.make(wanted, Some(&maker), now).map(Some)
    }

    fn make(&self, wanted: Wanted, maker: Option<&Grant>, now: WallMillis) -> Result<NewToken, StoreError> {
        let (text, id) = (random_token()?, hex(&random::<ID_BYTES>()?));
        let grant = Arc::new(wanted.granted(id, now, None, maker));
        let mut over = self.too_many(maker, now);
        over.extend(self.valid.all().iter().filter(|old| old.is_forgotten(now)).map(|old| old.id.clone()));
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

    /// Those that end when `maker` lets in one more: the oldest of all that its root let in, with what they let in
    /// themselves, but never those by which it is there itself.
    fn too_many(&self, maker: Option<&Grant>, now: WallMillis) -> BTreeSet<String> {
        let Some(maker) = maker else { return BTreeSet::new() };
        let mut let_in = self.valid.all();
        let_in.retain(|grant| grant.kind == Kind::Link && grant.root == maker.root && grant.is_valid(now));
        let mut over = BTreeSet::new();
        for oldest in &let_in {
            let left = let_in.iter().filter(|grant| !over.contains(&grant.id)).count();
            if left < LET_IN {
                break;
            }
            let ends = self.with_made_by(&oldest.id);
            if !ends.contains(&maker.id) {
                over.extend(ends);
            }
        }
        over
    }

    /// Keeps the first token in place of an earlier first one, which is not valid any more. Returns whether there
    /// was another one.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_first_token(&self, text: &str, now: WallMillis) -> Result<bool, StoreError> {
        let hash = hash(text);
        let grant = Arc::new(Wanted::admin(FIRST).granted(FIRST.to_owned(), now, None, None));
        let _changing = self.changing_tokens();
        let mut over = self.with_made_by(FIRST);
        over.remove(FIRST);
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
        let known = self.valid.by_id(id).is_some();
        self.end(&self.with_made_by(id))?;
        Ok(known)
    }

    fn end(&self, over: &BTreeSet<String>) -> Result<(), StoreError> {
        self.db.write(|transaction| {
            for id in over {
                transaction.execute(DELETE, [id])?;
            }
            Ok(())
        })?;
        self.valid.retain(|_, grant| !over.contains(&grant.id));
        Ok(())
    }

    /// Nobody else makes or ends a token while it is held.
    pub(super) fn changing_tokens(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token, and those that were made for links of it, or of those.
    fn with_made_by(&self, id: &str) -> BTreeSet<String> {
        let all = self.valid.all();
        let mut makers: BTreeSet<_> =
            all.iter().filter(|grant| grant.root == id).map(|grant| grant.id.clone()).collect();
        makers.insert(id.to_owned());
        loop {
            let known = makers.len();
            let made =
                all.iter().filter(|grant| grant.maker.as_ref().is_some_and(|maker| makers.contains(maker)));
            let made: Vec<_> = made.map(|grant| grant.id.clone()).collect();
            makers.extend(made);
            if makers.len() == known {
                return makers;
            }
        }
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
