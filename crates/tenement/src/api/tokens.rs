//! `POST /api/tokens`.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tenement_core::time::WallMillis;
use tenement_runtime::clock;

use super::{
    Api, ApiError,
    body::{self, Body},
    instances::timestamp,
};

const DAY_MS: u64 = 24 * 3600 * 1000;
/// Longer than anybody means; keeps the date in a calendar.
const MAX_DAYS: u64 = 36_500;
const MAX_NAME: usize = 100;

/// What may be asked for.
const KEYS: [&str; 5] = ["name", "expires_in_days", "scopes", "service", "instance"];

/// What was asked for.
struct Wanted {
    name: String,
    days: Option<u64>,
}

pub(super) async fn create(State(api): State<Api>, Body(body): Body) -> Result<Response, ApiError> {
    let wanted = wanted(&body)?;
    let now = clock::wall();
    let expires = wanted.days.map(|days| WallMillis(now.0 + days * DAY_MS));
    let name = wanted.name.clone();
    let made = tokio::task::spawn_blocking(move || api.store.new_token(&name, now, expires)).await;
    let made =
        made.map_err(|error| ApiError::internal(&error))?.map_err(|error| ApiError::internal(&error))?;
    let answer = json!({
        "id": made.id,
        "token": made.text,
        "name": wanted.name,
        "scopes": ["admin"],
        "created_at": timestamp(now),
        "expires_at": expires.map(timestamp),
    });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

fn wanted(body: &[u8]) -> Result<Wanted, ApiError> {
    let body: BTreeMap<String, Value> =
        if body.trim_ascii().is_empty() { BTreeMap::new() } else { body::object(body)? };
    // A misspelt 'expires_in_days' would be a token for ever.
    if let Some(unknown) = body.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let (unknown, known) = (unknown.escape_debug(), KEYS.join(", "));
        return Err(ApiError::bad_request(format!("'{unknown}' is not known here: there are {known}")));
    }
    let given = |key: &str| body.get(key).filter(|value| !value.is_null());
    let name = match given("name") {
        None => String::new(),
        Some(Value::String(name)) if name.len() <= MAX_NAME => name.clone(),
        Some(_) => {
            return Err(ApiError::bad_request(format!(
                "'name' must be a string of at most {MAX_NAME} bytes"
            )));
        }
    };
    let days = match given("expires_in_days") {
        None => None,
        Some(days) => Some(days.as_u64().filter(|days| (1..=MAX_DAYS).contains(days)).ok_or_else(|| {
            ApiError::bad_request(format!("'expires_in_days' must be a whole number from 1 to {MAX_DAYS}"))
        })?),
    };
    let admin = given("scopes").is_none_or(|scopes| *scopes == json!(["admin"]));
    if !admin || given("service").is_some() || given("instance").is_some() {
        // A token that can do more than was asked for would be worse than none.
        let message = "Tokens with other scopes than 'admin', or for one tenant, are not available yet";
        return Err(ApiError::bad_request(message));
    }
    Ok(Wanted { name, days })
}
