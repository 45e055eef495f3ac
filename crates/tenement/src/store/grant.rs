//! What a token allows, and for how long.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tenement_core::{
    history::Actor,
    name::{InstanceName, ServiceName},
    time::WallMillis,
};
use tenement_runtime::clock;
use tokio::sync::watch;

use super::Share;

/// How far a token reaches. Each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Sees.
    Read,
    /// Starts, stops, restarts, deletes.
    Write,
    /// Everything: tokens, configuration, audit.
    Admin,
}

impl Scope {
    /// All, from the least to the most.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// The scope for a word of the API.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a token came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody asked for it, and keeps it.
    Token,
    /// Somebody came in by a link: it is for as long as the dashboard is open, and is forgotten after that.
    Link,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Token, Self::Link];

    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Link => "link",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Whose things a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Everybody's.
    Nothing,
    /// The instances of one service.
    Service(ServiceName),
    /// One instance.
    Instance(InstanceName),
}

impl Binding {
    /// Whether an instance is among what it is for.
    #[must_use]
    pub fn covers(&self, name: &InstanceName) -> bool {
        match self {
            Self::Nothing => true,
            Self::Service(service) => *service == name.service,
            Self::Instance(instance) => instance == name,
        }
    }

    /// Whether all that another one is for is among what this is for.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nothing, _) => true,
            (_, Self::Nothing) | (Self::Instance(_), Self::Service(_)) => false,
            (Self::Service(own), Self::Service(other)) => own == other,
            (_, Self::Instance(other)) => self.covers(other),
        }
    }

    /// What both are for; `None`: nothing.
    #[must_use]
    pub fn and(&self, other: &Self) -> Option<Self> {
        let narrower = if self.includes(other) { other } else { self };
        (self.includes(other) || other.includes(self)).then(|| narrower.clone())
    }

    /// Whether something of a service can be among what it is for.
    #[must_use]
    pub fn touches(&self, service: &ServiceName) -> bool {
        match self {
            Self::Nothing => true,
            Self::Service(own) => own == service,
            Self::Instance(own) => own.service == *service,
        }
    }
}

/// A token's rights. Shared by everything that was let through with it, so that its end reaches them.
#[derive(Debug)]
pub struct Grant {
    /// The token's id.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// How it came to be.
    pub kind: Kind,
    /// The id of the token whose link it was made for: it does not outlive that.
    pub maker: Option<String>,
    /// The id of the token that this goes back to: of one that was made for a link the maker's, or that of the machine's
    /// own administrator, of any other one its own.
    pub root: String,
    /// As asked for, in order.
    pub scopes: Vec<Scope>,
    /// Whose things it is for.
    pub binding: Binding,
    /// When it was made.
    pub created_at: WallMillis,
    /// When it ends; never without.
    pub expires_at: Option<WallMillis>,
    /// What it may have at the same time.
    pub share: Share,
    /// In milliseconds; 0 before the first use.
    last_used: AtomicU64,
    revoked: watch::Sender<bool>,
}

/// How often the clock is asked whether a token has expired. A timer alone would not notice that the clock was set.
const LOOK: Duration = Duration::from_millis(500);

/// How long one that was made for a link is listed after its end. A clock that was set wrong for a moment forgets none.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

impl Grant {
    /// Whatever the token's scopes include.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|own| *own >= scope)
    }

    /// Whether it ends before or at `now`.
    #[must_use]
    pub fn is_expired(&self, now: WallMillis) -> bool {
        self.expires_at.is_some_and(|expires| expires <= now)
    }

    /// Whether it is valid at `now`.
    #[must_use]
    pub fn is_valid(&self, now: WallMillis) -> bool {
        !*self.revoked.borrow() && !self.is_expired(now)
    }

    /// Whether nobody wants to hear of it any more at `now`: who came by a link never chose to keep it.
    pub(super) fn is_forgotten(&self, now: WallMillis) -> bool {
        let before = WallMillis(now.0.saturating_sub(REMEMBERED.as_millis() as u64));
        self.kind == Kind::Link && self.is_expired(before)
    }

    /// When it was last used; `None` before the first time.
    #[must_use]
    pub fn last_used(&self) -> Option<WallMillis> {
        Some(WallMillis(self.last_used.load(Relaxed))).filter(|at| at.0 > 0)
    }

    pub(super) fn touch(&self, now: WallMillis) {
        self.last_used.fetch_max(now.0, Relaxed);
    }

    pub(super) fn revoke(&self) {
        self.revoked.send_replace(true);
    }

    /// Returns once the token is revoked or has expired.
    pub async fn ended(&self) {
        let mut revoked = self.revoked.subscribe();
        let expired = async {
            if self.expires_at.is_none() {
                std::future::pending::<()>().await;
            }
            while !self.is_expired(clock::wall()) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            _ = revoked.wait_for(|&revoked| revoked) => {}
            () = expired => {}
        }
    }
}

/// What a token is to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What its owner calls it.
    pub name: String,
    /// How it comes to be.
    pub kind: Kind,
    /// The id of the token whose link it is made for; `None` also for a link of the machine's own administrator.
    pub maker: Option<String>,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// Whose things it is for.
    pub binding: Binding,
    /// When it ends.
    pub expires_at: Option<WallMillis>,
}

impl Wanted {
    /// Everything, for ever.
    #[must_use]
    pub fn admin(name: &str) -> Self {
        let scopes = vec![Scope::Admin];
        let (kind, binding) = (Kind::Token, Binding::Nothing);
        Self { name: name.to_owned(), kind, maker: None, scopes, binding, expires_at: None }
    }

    pub(super) fn granted(
        self,
        id: String,
        created_at: WallMillis,
        last_used: Option<WallMillis>,
        share: Share,
    ) -> Grant {
        Grant {
            root: match self.kind {
                Kind::Token => id.clone(),
                Kind::Link => self.maker.clone().unwrap_or_else(|| Actor::local().0),
            },
            share,
            id,
            name: self.name,
            kind: self.kind,
            maker: self.maker,
            scopes: self.scopes,
            binding: self.binding,
            created_at,
            expires_at: self.expires_at,
            last_used: AtomicU64::new(last_used.unwrap_or_default().0),
            revoked: watch::Sender::new(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_bindings_leave_is_the_narrower_one_or_nothing() {
        let service = |name: &str| Binding::Service(name.parse().unwrap());
        let instance = |name: &str| Binding::Instance(name.parse().unwrap());
        let wide = [Binding::Nothing, service("api"), instance("api:a")];
        for (i, one) in wide.iter().enumerate() {
            for (j, other) in wide.iter().enumerate() {
                assert_eq!(one.and(other), Some(wide[i.max(j)].clone()));
            }
        }
        for (one, other) in [
            (service("api"), service("web")),
            (service("api"), instance("web:a")),
            (instance("api:a"), instance("api:b")),
        ] {
            assert_eq!((one.and(&other), other.and(&one)), (None, None));
        }
    }
}
