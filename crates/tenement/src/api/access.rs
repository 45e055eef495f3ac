//! What each route demands, read from the API's own description: what is described is what is enforced.

use std::collections::BTreeMap;

use axum::http::Method;
use utoipa::openapi::{
    OpenApi,
    path::{Operation, PathItem},
    security::SecurityRequirement,
};

use crate::store::Scope;

/// The name of the security scheme in the description.
pub(super) const BEARER: &str = "bearer";
/// What a route demands besides its scope if it is about the whole machine: a token that is bound to nothing.
pub(super) const UNBOUND: &str = "unbound";

/// What one route demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Demand {
    pub(super) scope: Scope,
    /// The token must not be bound to a service or an instance.
    pub(super) unbound: bool,
    /// Nobody has to say who they are; who does must be right.
    pub(super) optional: bool,
    /// It changes something: that is written down.
    pub(super) changes: bool,
    /// It may be asked for twice, by a key for which the answer is kept.
    pub(super) keyed: bool,
}

/// Take a body that says what to look at, and change nothing.
const LOOKS: [&str; 2] = ["plan_config", "validate_config"];

/// Its answer is nowhere kept: it is a secret that works once.
const SECRET: &str = "create_link";

/// The demands of every route, and what it is called.
#[derive(Debug, Default)]
pub(super) struct Access(BTreeMap<(String, String), (Option<Demand>, String)>);

impl Access {
    /// Of everything that is described.
    pub(super) fn of(description: &OpenApi) -> Self {
        let mut all = BTreeMap::new();
        for (path, item) in &description.paths.paths {
            for (method, operation) in operations(item) {
                let name = operation.operation_id.clone().unwrap_or_default();
                let demand = demand(&method, operation);
                all.insert((path.clone(), method.to_string()), (demand, name));
            }
        }
        Self(all)
    }

    fn find(&self, path: &str, method: &Method) -> Option<&(Option<Demand>, String)> {
        // A HEAD is a GET without its body.
        let method = if method == Method::HEAD { Method::GET } else { method.clone() };
        self.0.get(&(path.to_owned(), method.to_string()))
    }

    /// What is known of a route: what it demands, or `None` where nobody is asked who they are; and what it is called, its
    /// operation id.
    pub(super) fn route(&self, path: &str, method: &Method) -> Option<(Option<Demand>, &str)> {
        self.find(path, method).map(|(demand, name)| (*demand, name.as_str()))
    }

    /// Every route: path, method, demand.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str, Option<Demand>)> {
        self.0.iter().map(|((path, method), (demand, _))| (path.as_str(), method.as_str(), *demand))
    }
}

/// The operations of a path, by method.
pub(super) fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let all = [
        (Method::GET, &item.get),
        (Method::POST, &item.post),
        (Method::PUT, &item.put),
        (Method::PATCH, &item.patch),
        (Method::DELETE, &item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

pub(super) fn demand(method: &Method, operation: &Operation) -> Option<Demand> {
    let all = operation.security.as_deref()?;
    let bearer = |requirement: &SecurityRequirement| {
        let value = serde_json::to_value(requirement).ok()?;
        let words = value.get(BEARER)?.as_array()?.clone();
        Some(words.into_iter().filter_map(|word| Some(word.as_str()?.to_owned())).collect::<Vec<_>>())
    };
    let words = all.iter().find_map(bearer)?;
    let scope = words.iter().find_map(|word| Scope::from_word(word)).unwrap_or(Scope::Admin);
    let optional = all.iter().any(|requirement| bearer(requirement).is_none());
    let unbound = words.iter().any(|word| word == UNBOUND);
    let asks = method == Method::POST && scope == Scope::Read;
    let name = operation.operation_id.as_deref().unwrap_or_default();
    let looks = method == Method::GET || asks || LOOKS.contains(&name);
    let keyed = method == Method::POST && !looks && name != SECRET;
    Some(Demand { scope, unbound, optional, changes: !looks, keyed })
}
