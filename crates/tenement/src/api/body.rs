//! Bodies of requests, whose faults are answered in the envelope like all others.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderValue, header},
};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

use super::ApiError;

/// The whole body.
pub(super) struct Body(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if request.headers().contains_key(header::CONTENT_ENCODING) {
            return Err(ApiError::unsupported_media_type("The body must not be encoded: send it as it is"));
        }
        let body = Bytes::from_request(request, state).await;
        body.map(Self).map_err(|_| ApiError::too_large("The body is too large"))
    }
}

/// The whole body, of which nothing says that it is something else than JSON.
pub(super) struct JsonBody(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        if kind.is_some_and(|kind| !is_json(kind)) {
            let message = "The body must be JSON, and its 'Content-Type' 'application/json'";
            return Err(ApiError::unsupported_media_type(message));
        }
        Body::from_request(request, state).await.map(|Body(body)| Self(body))
    }
}

fn is_json(kind: &HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}

/// The members of an object. One that is there twice means two things, so it is refused.
pub(super) struct Object<V>(pub(super) BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Object<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData))
    }
}

struct Members<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Members<V> {
    type Value = Object<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Object<V>, A::Error> {
        let mut found = BTreeMap::new();
        while let Some((key, value)) = members.next_entry::<String, V>()? {
            if found.contains_key(&key) {
                return Err(de::Error::custom(format_args!("'{}' is there twice", key.escape_debug())));
            }
            found.insert(key, value);
        }
        Ok(Object(found))
    }
}

/// The members of a body that is a JSON object.
pub(super) fn object<'body, V: Deserialize<'body>>(
    body: &'body [u8],
) -> Result<BTreeMap<String, V>, ApiError> {
    let read = serde_json::from_slice::<Object<V>>(body);
    let object = read.map_err(|error| {
        let what = if error.is_data() { "not what is expected" } else { "not JSON" };
        ApiError::bad_request(format!("The body is {what}: {error}"))
    })?;
    Ok(object.0)
}

/// Refuses members that mean nothing here: a misspelt one would be ignored otherwise.
pub(super) fn only<V>(known: &[&str], body: &BTreeMap<String, V>) -> Result<(), ApiError> {
    match body.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(unknown) => {
            let (unknown, known) = (unknown.escape_debug(), known.join(", "));
            Err(ApiError::bad_request(format!("'{unknown}' is not known here: there are {known}")))
        }
    }
}
