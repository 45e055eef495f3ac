//! `/api/tokens`.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenement_core::{name::InstanceName, time::WallMillis};
use tenement_runtime::clock;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api, ApiError, Subject,
    blocking::blocking,
    body::{self, JsonBody},
    instances::timestamp,
    page::{PageQuery, Pagination},
    query::QueryOf,
    words,
};
use crate::store::{Binding, Grant, Kind, Scope, Wanted};

const DAY_MS: u64 = 24 * 3600 * 1000;
/// Longer than anybody means; keeps the date in a calendar.
const MAX_DAYS: u64 = 36_500;
const MAX_NAME: usize = 100;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// What a token is to be.
#[derive(Deserialize, ToSchema)]
#[schema(as = TokenRequest)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // Described by this, read by `wanted`, which says what is wrong with each member.
struct NewToken {
    /// What its owner calls it.
    #[schema(max_length = 100)]
    name: Option<String>,
    /// Never without.
    #[schema(minimum = 1, maximum = 36500)]
    expires_in_days: Option<u64>,
    /// `["admin"]` without.
    #[schema(min_items = 1)]
    scopes: Option<Vec<words::Scope>>,
    /// Binds it to the instances of a service.
    #[schema(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")]
    service: Option<String>,
    /// Binds it to one instance: `service:id`, or the id next to `service`.
    #[schema(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?:[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
    instance: Option<String>,
}

/// A token as it is known afterwards.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Token {
    id: String,
    name: String,
    /// `token`, or `link` for one that somebody got who came in by a link.
    #[schema(value_type = words::TokenKind)]
    kind: &'static str,
    #[schema(value_type = Vec<words::Scope>)]
    scopes: Vec<&'static str>,
    /// The service it is bound to, if it is.
    service: Option<String>,
    /// The instance it is bound to, if it is.
    instance: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// Null until it is used.
    #[schema(format = DateTime)]
    last_used: Option<String>,
    /// Null: never.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// A token that was just made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedToken)]
struct Created {
    /// Its text, shown this once.
    token: String,
    #[serde(flatten)]
    about: Token,
}

impl Token {
    fn of(grant: &Grant) -> Self {
        let (service, instance) = bound_to(&grant.binding);
        Self {
            id: grant.id.clone(),
            name: grant.name.clone(),
            kind: grant.kind.as_str(),
            scopes: grant.scopes.iter().map(|scope| scope.as_str()).collect(),
            service,
            instance,
            created_at: timestamp(grant.created_at),
            last_used: grant.last_used().map(timestamp),
            expires_at: grant.expires_at.map(timestamp),
        }
    }
}

/// The service and the instance that something is bound to.
pub(super) fn bound_to(binding: &Binding) -> (Option<String>, Option<String>) {
    match binding {
        Binding::Nothing => (None, None),
        Binding::Service(service) => (Some(service.to_string()), None),
        Binding::Instance(name) => (Some(name.service.to_string()), Some(name.to_string())),
    }
}

/// Create a token
///
/// Its text is shown this once.
#[utoipa::path(
    post, path = "/api/tokens", operation_id = "create_token", tag = "tokens",
    request_body(content = NewToken, example = json!({ "name": "CI/CD", "expires_in_days": 30 })),
    responses((status = 201, description = "The token", body = Created)),
    security(("bearer" = ["admin", "unbound"])),
)]
async fn create(State(api): State<Api>, JsonBody(body): JsonBody) -> Result<Response, ApiError> {
    let now = clock::wall();
    let wanted = wanted(&body, now)?;
    let made = blocking(move || api.store.new_token(wanted, now)).await?;
    let answer = Created { about: Token::of(&made.grant), token: made.text };
    let subject = Subject::Token(made.grant.id.clone());
    Ok((StatusCode::CREATED, axum::Extension(subject), Json(answer)).into_response())
}

fn wanted(body: &[u8], now: WallMillis) -> Result<Wanted, ApiError> {
    let body: BTreeMap<String, Value> = body::object(body)?;
    // A misspelt 'expires_in_days' would be a token for ever.
    body::only(&["name", "expires_in_days", "scopes", "service", "instance"], &body)?;
    let given = |key: &str| body.get(key).filter(|value| !value.is_null());
    let name = match given("name") {
        None => String::new(),
        Some(Value::String(name)) if name.chars().count() <= MAX_NAME => name.clone(),
        Some(_) => {
            let message = format!("'name' must be a string of at most {MAX_NAME} characters");
            return Err(ApiError::bad_request(message));
        }
    };
    let days = match given("expires_in_days") {
        None => None,
        Some(days) => Some(whole(days).filter(|days| (1..=MAX_DAYS).contains(days)).ok_or_else(|| {
            ApiError::bad_request(format!("'expires_in_days' must be a whole number from 1 to {MAX_DAYS}"))
        })?),
    };
    let scopes = given("scopes").map_or(Ok(vec![Scope::Admin]), scopes)?;
    let binding = binding(given("service"), given("instance"))?;
    let expires_at = days.map(|days| WallMillis(now.0 + days * DAY_MS));
    Ok(Wanted { name, kind: Kind::Token, maker: None, scopes, binding, expires_at })
}

/// JSON does not tell 1.0 from 1.
pub(super) fn whole(number: &Value) -> Option<u64> {
    let exact =
        |number: f64| (number.fract() == 0.0 && (0.0..=1e9).contains(&number)).then_some(number as u64);
    number.as_u64().or_else(|| number.as_f64().and_then(exact))
}

pub(super) fn scopes(given: &Value) -> Result<Vec<Scope>, ApiError> {
    let refuse = || {
        let known = Scope::ALL.map(Scope::as_str).join(", ");
        ApiError::bad_request(format!("'scopes' must be a list of at least one of {known}"))
    };
    let words = given.as_array().filter(|words| !words.is_empty()).ok_or_else(refuse)?;
    let scope = |word: &Value| word.as_str().and_then(Scope::from_word).ok_or_else(refuse);
    let mut scopes = words.iter().map(scope).collect::<Result<Vec<_>, _>>()?;
    scopes.sort_unstable();
    scopes.dedup();
    Ok(scopes)
}

pub(super) fn binding(service: Option<&Value>, instance: Option<&Value>) -> Result<Binding, ApiError> {
    let text = |key: &str, value: &Value| {
        let text = value.as_str().map(str::to_owned);
        text.ok_or_else(|| ApiError::bad_request(format!("'{key}' must be a string")))
    };
    let service = service.map(|value| text("service", value)).transpose()?;
    let instance = instance.map(|value| text("instance", value)).transpose()?;
    let name: InstanceName = match (&service, instance) {
        (None, None) => return Ok(Binding::Nothing),
        (Some(service), None) => return Ok(Binding::Service(service.parse()?)),
        (Some(service), Some(id)) if !id.contains(':') => InstanceName::new(service, &id)?,
        (_, Some(name)) => name.parse()?,
    };
    if service.is_some_and(|service| !service.eq_ignore_ascii_case(name.service.as_str())) {
        return Err(ApiError::bad_request(format!("'{name}' is not an instance of that service")));
    }
    Ok(Binding::Instance(name))
}

#[derive(Serialize, ToSchema)]
#[schema(as = TokenList)]
struct List {
    tokens: Vec<Token>,
    pagination: Pagination,
}

/// List tokens
///
/// The expired ones too, in the order they were made.
#[utoipa::path(
    get, path = "/api/tokens", operation_id = "list_tokens", tag = "tokens", params(PageQuery),
    responses((status = 200, description = "A page of tokens", body = List)),
    security(("bearer" = ["admin", "unbound"])),
)]
async fn list(State(api): State<Api>, QueryOf(query): QueryOf<PageQuery>) -> Result<Json<List>, ApiError> {
    let page = query.page()?;
    let (grants, pagination) = page.cut(api.store.tokens());
    let tokens = grants.iter().map(|grant: &Arc<Grant>| Token::of(grant)).collect();
    Ok(Json(List { tokens, pagination }))
}

/// Revoke a token
///
/// What was let in with it, streams too, ends within a second.
#[utoipa::path(
    delete, path = "/api/tokens/{id}", operation_id = "revoke_token", tag = "tokens",
    params(("id" = String, Path, description = "Its id")),
    responses(
        (status = 204, description = "It is not valid any more"),
        (status = 404, description = "There is no such token", body = inline(super::error::Envelope)),
    ),
    security(("bearer" = ["admin", "unbound"])),
)]
async fn revoke(
    State(api): State<Api>,
    id: Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Result<StatusCode, ApiError> {
    let Path(id) = id.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
    let wanted = id.clone();
    if blocking(move || api.store.revoke_token(&wanted)).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found(format!("Token '{}' not found", id.escape_debug())))
    }
}
