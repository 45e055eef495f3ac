//! Paths and query strings, whose faults are answered in the envelope like all others.

use std::collections::BTreeSet;

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::request::Parts,
};
use serde::{Deserialize, de::DeserializeOwned};
use tenement_core::name::InstanceName;
use utoipa::IntoParams;

use super::ApiError;

/// The query string as a `T`.
pub(super) struct QueryOf<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryOf<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(ApiError::bad_request(rejection.body_text())),
        }
    }
}

/// The instance that a query names: `api:user123`, or `user123` together with `service=api`.
pub(super) fn instance(
    service: Option<&str>,
    instance: Option<&str>,
) -> Result<Option<InstanceName>, ApiError> {
    instance.map(|instance| one(service, instance)).transpose()
}

/// Several of them, with commas.
pub(super) fn instances(
    service: Option<&str>,
    instances: Option<&str>,
) -> Result<BTreeSet<InstanceName>, ApiError> {
    let Some(instances) = instances else { return Ok(BTreeSet::new()) };
    instances.split(',').map(|instance| one(service, instance.trim())).collect()
}

fn one(service: Option<&str>, instance: &str) -> Result<InstanceName, ApiError> {
    Ok(match service {
        Some(service) if !instance.contains(':') => InstanceName::new(service, instance)?,
        _ => instance.parse()?,
    })
}

/// Service and id of a path.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct Instance {
    /// Its service.
    #[param(example = "api")]
    pub(super) service: String,
    /// Its id.
    #[param(example = "user123")]
    pub(super) id: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Instance {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<Self>::from_request_parts(parts, state).await {
            Ok(Path(found)) => Ok(found),
            Err(rejection) => Err(ApiError::bad_request(rejection.body_text())),
        }
    }
}
