//! Who calls, and what of everybody's things they may know of.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::request::Parts,
};
use tenement_core::{
    history::Actor,
    name::{InstanceName, ServiceName},
    time::WallMillis,
};

use super::{ApiError, error::named};
use crate::store::{Binding, Grant, Kind, Scope, Share};

/// Somebody who was let in. A handler that shows or changes what belongs to an instance asks it first.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Who);

#[derive(Clone, Debug)]
enum Who {
    /// The machine's own administrator, over the local socket.
    Local(Share),
    Token(Arc<Grant>),
}

impl Caller {
    /// Whether it is the machine's own administrator, over the local socket.
    pub(super) fn is_local(&self) -> bool {
        matches!(self.0, Who::Local(_))
    }

    /// What the administrator does at the same time takes from nobody else's share.
    pub(super) fn local() -> Self {
        Self(Who::Local(Share::default()))
    }

    pub(super) fn token(grant: Arc<Grant>) -> Self {
        Self(Who::Token(grant))
    }

    pub(super) fn grant(&self) -> Option<&Arc<Grant>> {
        match &self.0 {
            Who::Local(_) => None,
            Who::Token(grant) => Some(grant),
        }
    }

    /// Whether it may still be here at `now`.
    pub(super) fn is_valid(&self, now: WallMillis) -> bool {
        self.grant().is_none_or(|grant| grant.is_valid(now))
    }

    /// What it may have at the same time.
    pub(super) fn share(&self) -> &Share {
        match &self.0 {
            Who::Local(share) => share,
            Who::Token(grant) => &grant.share,
        }
    }

    pub(super) fn binding(&self) -> &Binding {
        self.grant().map_or(&Binding::Nothing, |grant| &grant.binding)
    }

    /// Its name in the history of things.
    pub(crate) fn actor(&self) -> Actor {
        self.grant().map_or_else(Actor::local, |grant| Actor(grant.id.clone()))
    }

    /// The token of who was let in by a link.
    pub(super) fn session(&self) -> Option<&Arc<Grant>> {
        self.grant().filter(|grant| grant.kind == Kind::Link)
    }

    /// Whether its scopes include `scope`.
    pub(crate) fn allows(&self, scope: Scope) -> bool {
        self.grant().is_none_or(|grant| grant.allows(scope))
    }

    /// Whether it is for some instances only.
    pub(crate) fn is_bound(&self) -> bool {
        *self.binding() != Binding::Nothing
    }

    /// Whether it may know of an instance.
    pub(crate) fn sees(&self, name: &InstanceName) -> bool {
        self.binding().covers(name)
    }

    /// Whether it may know of a service.
    pub(crate) fn sees_service(&self, service: &ServiceName) -> bool {
        self.binding().touches(service)
    }

    /// Whether it may know of everything that ever was of a service.
    pub(crate) fn sees_all_of(&self, service: &ServiceName) -> bool {
        match self.binding() {
            Binding::Nothing => true,
            Binding::Service(own) => own == service,
            Binding::Instance(_) => false,
        }
    }

    /// The instance a path names. One it may not know of is one that does not exist.
    pub(crate) fn named(&self, service: &str, id: &str) -> Result<InstanceName, ApiError> {
        let name = named(service, id)?;
        if self.sees(&name) { Ok(name) } else { Err(ApiError::instance_not_found(service, id)) }
    }

    /// Narrows a question about many to what it may know of. Returns whether anything is left of the question.
    pub(crate) fn narrow(
        &self,
        service: &mut Option<ServiceName>,
        instance: &mut Option<InstanceName>,
    ) -> bool {
        let seen = service.as_ref().is_none_or(|service| self.sees_service(service))
            && instance.as_ref().is_none_or(|instance| self.sees(instance));
        match self.binding() {
            Binding::Nothing => {}
            Binding::Service(own) => *service = Some(own.clone()),
            Binding::Instance(own) => *instance = Some(own.clone()),
        }
        seen
    }

    /// Returns once it may not be here any more: its token was revoked or has expired.
    pub(crate) async fn ended(&self) {
        match &self.0 {
            Who::Local(_) => std::future::pending().await,
            Who::Token(grant) => grant.ended().await,
        }
    }
}

/// Who [`super::auth::gate`] let in. A route without it is one for which nobody is asked, and then there is none.
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(ApiError::unauthorized)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}
