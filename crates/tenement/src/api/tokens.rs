//! `POST /api/tokens`.

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tenement_core::time::WallMillis;
use tenement_runtime::clock;

use super::{Api, ApiError, instances::timestamp};

const DAY_MS: u64 = 24 * 3600 * 1000;
/// Longer than anybody means; keeps the date in a calendar.
const MAX_DAYS: u64 = 36_500;
const MAX_NAME: usize = 100;

/// What was asked for.
struct Wanted {
    name: String,
    days: Option<u64>,
}

pub(super) async fn create(
    State(api): State<Api>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body.map_err(|_| ApiError::too_large("The body is too large"))?;
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
    let body: Value = match body.trim_ascii() {
        b"" => json!({}),
        text => serde_json::from_slice(text)
            .map_err(|error| ApiError::bad_request(format!("The body is not JSON: {error}")))?,
    };
    let name = match &body["name"] {
        Value::Null => "",
        Value::String(name) if name.len() <= MAX_NAME => name,
        _ => {
            return Err(ApiError::bad_request(format!(
                "'name' must be a string of at most {MAX_NAME} bytes"
            )));
        }
    };
    let days = match &body["expires_in_days"] {
        Value::Null => None,
        days => Some(days.as_u64().filter(|days| (1..=MAX_DAYS).contains(days)).ok_or_else(|| {
            ApiError::bad_request(format!("'expires_in_days' must be a whole number from 1 to {MAX_DAYS}"))
        })?),
    };
    let admin = body["scopes"].is_null() || body["scopes"] == json!(["admin"]);
    if !admin || !body["service"].is_null() || !body["instance"].is_null() {
        // A token that can do more than was asked for would be worse than none.
        let message = "Tokens with other scopes than 'admin', or for one tenant, are not available yet";
        return Err(ApiError::bad_request(message));
    }
    Ok(Wanted { name: name.to_owned(), days })
}
