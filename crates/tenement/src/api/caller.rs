//! Who calls, and what of everybody's things they may know of.

use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::request::Parts,
};
use tenement_core::{
    history::Actor,
    name::{InstanceName, ServiceName},
};

use super::{ApiError, error::named};
use crate::store::{Binding, Grant, Scope};

/// Somebody who was let in. A handler that shows or changes what belongs to an instance asks it first.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Who);

#[derive(Clone, Debug)]
enum Who {
    /// The machine's own administrator, over the local socket.
    Local,
    Token(Arc<Grant>),
}

impl Caller {
    pub(super) fn local() -> Self {
        Self(Who::Local)
    }

    pub(super) fn token(grant: Arc<Grant>) -> Self {
        Self(Who::Token(grant))
    }

    pub(super) fn grant(&self) -> Option<&Arc<Grant>> {
        match &self.0 {
            Who::Local => None,
            Who::Token(grant) => Some(grant),
        }
    }

    fn binding(&self) -> &Binding {
        self.grant().map_or(&Binding::Nothing, |grant| &grant.binding)
    }

    /// Its name in the history of things.
    pub(crate) fn actor(&self) -> Actor {
        self.grant().map_or_else(Actor::local, |grant| Actor(grant.id.clone()))
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

    /// The instance a path names. One it may not know of is one that does not exist.
    pub(crate) fn named(&self, service: &str, id: &str) -> Result<InstanceName, ApiError> {
        let name = named(service, id)?;
        if self.sees(&name) { Ok(name) } else { Err(ApiError::instance_not_found(service, id)) }
    }

    /// The only service and the only instance it may know of: what a question about many is narrowed to.
    pub(crate) fn bounds(&self) -> (Option<&ServiceName>, Option<&InstanceName>) {
        match self.binding() {
            Binding::Nothing => (None, None),
            Binding::Service(service) => (Some(service), None),
            Binding::Instance(name) => (Some(&name.service), Some(name)),
        }
    }

    /// Returns once it may not be here any more: its token was revoked or has expired.
    pub(crate) async fn ended(&self) {
        match &self.0 {
            Who::Local => std::future::pending().await,
            Who::Token(grant) => grant.ended().await,
        }
    }

    /// The same for the same caller, for telling callers apart.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.grant().map(|grant| &grant.id).hash(&mut hasher);
        hasher.finish()
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
