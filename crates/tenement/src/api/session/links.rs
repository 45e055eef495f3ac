//! `POST /api/links`: a way into the dashboard that works once.
//!
//! ```text
//!   code, told once ─► its hash, in memory ─► taken away once it let somebody in
//!                            └── too old, its maker may not be here any more, too many newer ones ─► nothing
//! ```

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tenement_core::{name::InstanceName, time::WallMillis};
use tenement_runtime::clock;
use utoipa::ToSchema;

use crate::{
    api::{
        Api, ApiError, Caller,
        body::{self, JsonBody},
        instances::timestamp,
        tokens, words,
    },
    store::{Binding, Scope, random_code},
};

/// Links of one token at the same time. The oldest goes for a newer one.
const MOST: usize = 100;
/// Seconds that one is good for, and at most.
const LASTS: u64 = 300;
const LASTS_MAX: u64 = 3600;

type Hash = [u8; 32];

/// Links that nobody has used yet. They are gone when the daemon ends.
#[derive(Debug, Default)]
pub struct Links(Mutex<Vec<Link>>);

/// What one lets in.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Of its code, which nobody keeps.
    hash: Hash,
    pub(super) scopes: Vec<Scope>,
    pub(super) binding: Binding,
    pub(super) maker: Caller,
    until: WallMillis,
}

fn hash(code: &str) -> Hash {
    Sha256::digest(code.as_bytes()).into()
}

impl Links {
    /// Those that are good at `now`, from the oldest on.
    fn good(&self, now: WallMillis) -> MutexGuard<'_, Vec<Link>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|link| link.until > now && link.maker.is_valid(now));
        all
    }

    fn put(&self, link: Link) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = |other: &Link| other.maker.actor() == link.maker.actor();
        if all.iter().filter(|other| own(other)).count() >= MOST
            && let Some(oldest) = all.iter().position(own)
        {
            all.remove(oldest);
        }
        all.push(link);
    }

    /// The link of a code, which stays.
    pub(super) fn find(&self, code: &str, now: WallMillis) -> Option<Link> {
        let hash = hash(code);
        self.good(now).iter().find(|link| link.is_of(&hash)).cloned()
    }

    /// The link of a code is none from now on.
    pub(super) fn remove(&self, code: &str) {
        let (hash, mut all) = (hash(code), self.0.lock().unwrap_or_else(PoisonError::into_inner));
        all.retain(|link| !link.is_of(&hash));
    }

    /// Those for one instance, which is purged: the next of its name may be somebody else's.
    pub(crate) fn forget(&self, name: &InstanceName) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|link| link.binding != Binding::Instance(name.clone()));
    }
}

impl Link {
    fn is_of(&self, hash: &Hash) -> bool {
        self.hash.ct_eq(hash).into()
    }
}

/// What a link is to be for.
#[derive(ToSchema)]
#[allow(dead_code)] // Described by this, read by `wanted`.
struct LinkRequest {
    /// `["admin"]` without.
    #[schema(min_items = 1)]
    scopes: Option<Vec<words::Scope>>,
    /// Only for the instances of a service. Without it and `instance`: for what the caller's own token is for.
    #[schema(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")]
    service: Option<String>,
    /// Only for one instance: `service:id`, or the id next to `service`.
    #[schema(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?:[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
    instance: Option<String>,
    /// 300 without.
    #[schema(minimum = 1, maximum = 3600)]
    expires_in_seconds: Option<u64>,
}

/// A link that was just made.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedLink)]
struct Created {
    /// To be opened in a browser, on this machine.
    #[schema(example = "http://127.0.0.1:8000/#/link/8c1f…")]
    url: String,
    /// What `POST /api/session` takes, shown this once.
    code: String,
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Create a link that signs in to the dashboard
///
/// It works once. What it lets in can't do more than the token that makes it, does not outlive it, and makes no links.
#[utoipa::path(
    post, path = "/api/links", operation_id = "create_link", tag = "tokens",
    request_body = Option<LinkRequest>,
    responses((status = 201, description = "The link", body = Created)),
    security(("bearer" = ["admin"])),
)]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    // Else one that was let in could let in as many as it likes, and nobody could say who.
    if caller.session().is_some() {
        return Err(ApiError::session_makes_no_links());
    }
    let now = clock::wall();
    let code = random_code()?;
    let link = wanted(&body, caller, hash(&code), now)?;
    let expires_at = timestamp(link.until);
    drop(api.links.good(now));
    api.links.put(link);
    let answer = Created { url: url(&api.about.addresses, &code), code, expires_at };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

fn wanted(body: &[u8], maker: Caller, hash: Hash, now: WallMillis) -> Result<Link, ApiError> {
    let members: BTreeMap<String, Value> =
        if matches!(body.trim_ascii(), b"" | b"null") { BTreeMap::new() } else { body::object(body)? };
    body::only(&["scopes", "service", "instance", "expires_in_seconds"], &members)?;
    let given = |key: &str| members.get(key).filter(|value| !value.is_null());
    let seconds = given("expires_in_seconds").map_or(Some(LASTS), tokens::whole);
    let seconds = seconds.filter(|seconds| (1..=LASTS_MAX).contains(seconds)).ok_or_else(|| {
        ApiError::bad_request(format!("'expires_in_seconds' must be a whole number from 1 to {LASTS_MAX}"))
    })?;
    let scopes = given("scopes").map_or(Ok(vec![Scope::Admin]), tokens::scopes)?;
    if let Some(&missing) = scopes.iter().find(|&&scope| !maker.allows(scope)) {
        return Err(ApiError::missing_scope(missing));
    }
    let binding = match tokens::binding(given("service"), given("instance"))? {
        Binding::Nothing => maker.binding().clone(),
        binding => binding,
    };
    if !maker.binding().includes(&binding) {
        return Err(ApiError::link_for_more());
    }
    Ok(Link { hash, scopes, binding, maker, until: WallMillis(now.0 + seconds * 1000) })
}

/// By the first address that is listened on, as this machine reaches it.
fn url(addresses: &[SocketAddr], code: &str) -> String {
    let mut first = addresses.first().copied().unwrap_or((Ipv4Addr::LOCALHOST, 8000).into());
    match first.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => first.set_ip(Ipv4Addr::LOCALHOST.into()),
        // Nothing of IPv4 comes to such a socket.
        IpAddr::V6(ip) if ip.is_unspecified() => first.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{first}/#/link/{code}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Kind, Store, Wanted};

    fn link(code: &str, until: u64) -> Link {
        let (scopes, binding) = (vec![Scope::Read], Binding::Nothing);
        Link { hash: hash(code), scopes, binding, maker: Caller::local(), until: WallMillis(until) }
    }

    #[test]
    fn a_link_works_once_and_for_a_while_and_there_are_so_many() {
        let links = Links::default();
        links.put(link("a", 10));
        assert!(links.find("b", WallMillis(1)).is_none() && links.find("", WallMillis(1)).is_none());
        assert!(links.find("a", WallMillis(9)).is_some());
        links.remove("a");
        assert!(links.find("a", WallMillis(9)).is_none());
        links.put(link("a", 10));
        assert!(links.find("a", WallMillis(10)).is_none(), "too old");
        for number in 0..=MOST {
            links.put(link(&number.to_string(), 10));
        }
        assert!(links.find("0", WallMillis(1)).is_none(), "the oldest goes");
        assert!(links.find("1", WallMillis(1)).is_some());
        assert_eq!(links.good(WallMillis(1)).len(), MOST);
        assert!(links.good(WallMillis(10)).is_empty());
    }

    #[test]
    fn a_purge_ends_links_for_what_is_purged() {
        let (links, gone): (_, InstanceName) = (Links::default(), "api:a".parse().unwrap());
        let bound =
            |code, name: &str| Link { binding: Binding::Instance(name.parse().unwrap()), ..link(code, 10) };
        links.put(bound("a", "api:a"));
        links.put(bound("b", "api:b"));
        links.put(link("c", 10));
        links.forget(&gone);
        let left = ["a", "b", "c"].map(|code| links.find(code, WallMillis(1)).is_some());
        assert_eq!(left, [false, true, true]);
    }

    #[test]
    fn a_purge_while_somebody_is_let_in_in_vain_ends_the_link_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let store = Store::open(&path).unwrap();
        let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON tokens BEGIN SELECT RAISE(ABORT, 'no'); END";
        rusqlite::Connection::open(&path).unwrap().execute_batch(refuse).unwrap();
        let (links, gone): (_, InstanceName) = (Links::default(), "api:a".parse().unwrap());
        links.put(Link { binding: Binding::Instance(gone.clone()), ..link("a", 10) });
        let look = || {
            let found =
                links.find("a", WallMillis(1)).map(|_| Wanted { kind: Kind::Link, ..Wanted::admin("a") });
            links.forget(&gone);
            found
        };
        assert!(store.let_in(look, || links.remove("a"), WallMillis(1)).is_err());
        assert!(links.find("a", WallMillis(1)).is_none());
    }

    #[test]
    fn the_address_is_one_that_this_machine_reaches() {
        let of = |address: &str| url(&[address.parse().unwrap()], "c");
        assert_eq!(of("0.0.0.0:80"), "http://127.0.0.1:80/#/link/c");
        assert_eq!(of("[::]:8000"), "http://[::1]:8000/#/link/c");
        assert_eq!(of("192.0.2.1:1"), "http://192.0.2.1:1/#/link/c");
    }
}
