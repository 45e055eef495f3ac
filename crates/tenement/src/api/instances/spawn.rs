//! `POST /api/instances`.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tenement_core::{config::check_variable, name::InstanceName, view::InstanceView};
use tenement_supervisor::CommandError;
use utoipa::{
    IntoParams, ToSchema,
    openapi::{
        Schema,
        schema::{ObjectBuilder, SchemaType, Type},
    },
};

use super::view::Started;
use crate::api::{
    Api, ApiError, Caller, Subject,
    body::{self, JsonBody, Object},
    query::QueryOf,
    reason,
};

#[derive(Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitQuery {
    /// `false`: answers at once, with the status `starting`.
    wait: Option<bool>,
}

#[derive(Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SpawnQuery {
    /// `false`: answers at once, with the status `starting`.
    wait: Option<bool>,
    /// `true`: one that runs is restarted with this environment, in place of a 409.
    restart: Option<bool>,
}

impl SpawnQuery {
    /// Of one that is known.
    pub(super) fn of_start(WaitQuery { wait }: WaitQuery) -> Self {
        Self { wait, restart: None }
    }
}

/// What to spawn.
#[derive(Deserialize, ToSchema)]
#[schema(as = SpawnRequest)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // Described by this, read by `spawn_request`, which keeps numbers as they are written.
pub(super) struct Spawn {
    #[schema(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$", example = "api")]
    service: String,
    #[schema(pattern = "^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$", example = "user123")]
    id: String,
    /// Its own environment, over the service's. Numbers and booleans become strings.
    #[schema(schema_with = environment)]
    env: Option<BTreeMap<String, serde_json::Value>>,
}

/// What [`check_variable`] takes.
fn environment() -> Schema {
    let name = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^(?!LD_)[^=\x00]+$"));
    let value = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Number, Type::Boolean]))
        .pattern(Some(r"^[^\x00]*$"));
    let object = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .property_names(Some(name))
        .additional_properties(Some(value));
    object.build().into()
}

/// Spawn an instance
///
/// Makes it known and starts it; answers when it is ready. One that is known and sleeps, is stopped or failed is
/// started.
#[utoipa::path(
    post, path = "/api/instances", operation_id = "spawn_instance", tag = "instances", params(SpawnQuery),
    request_body(content = Spawn, example = json!({ "service": "api", "id": "user123", "env": { "CUSTOM_VAR": "value" } })),
    responses(
        (status = 201, description = "It is ready, or with `wait=false` starting", body = Started),
        (status = 404, description = "No such service", body = inline(crate::api::error::Envelope)),
        (status = 409, description = "It runs, or is about to", body = inline(crate::api::error::Envelope)),
        (status = 422, description = "The configuration does not allow it", body = inline(crate::api::error::Envelope)),
        (status = 503, description = "It did not become ready", body = inline(crate::api::error::Envelope)),
    ),
    security(("bearer" = ["write"])),
)]
pub(super) async fn spawn(
    State(api): State<Api>,
    caller: Caller,
    QueryOf(query): QueryOf<SpawnQuery>,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let (name, env) = spawn_request(&body)?;
    // With its turn: a start may take long.
    drop(body);
    if !caller.sees(&name) {
        // As it would be if there were no such service, or no such instance of the one it may know of.
        let unknown = CommandError::UnknownService(name.service.clone());
        let hidden = ApiError::instance_not_found(name.service.as_str(), name.id.as_str());
        return Err(if caller.sees_service(&name.service) { hidden } else { unknown.into() });
    }
    let subject = Subject::Instance(name.clone());
    let view = ready(&api, &caller, name, env, query).await.map_err(|error| error.about(subject.clone()))?;
    let answer = (StatusCode::CREATED, axum::Extension(subject), Json(Started::of(&view)));
    Ok(answer.into_response())
}

/// Whether anything is started any more.
pub(super) fn starts(api: &Api) -> Result<(), ApiError> {
    if api.is_draining() { Err(CommandError::ShuttingDown.into()) } else { Ok(()) }
}

pub(super) async fn ready(
    api: &Api,
    caller: &Caller,
    name: InstanceName,
    env: Option<BTreeMap<String, String>>,
    SpawnQuery { wait, restart }: SpawnQuery,
) -> Result<InstanceView, ApiError> {
    starts(api)?;
    let supervisor = api.supervisor.by(caller.actor());
    let wait = wait.unwrap_or(true);
    let spawned = match restart.unwrap_or(false) {
        true => supervisor.respawn(name.clone(), env, wait).await,
        false => supervisor.spawn(name.clone(), env, wait).await,
    };
    spawned.map_err(|error| match error {
        CommandError::StartFailed { name, reason, command_not_found: true, timed_out: _ }
            if caller.is_bound() =>
        {
            let reason = reason::seen_by(caller, reason);
            ApiError::unavailable(format!("Instance '{name}' did not start: {reason}"))
        }
        CommandError::StartFailed { name, reason, command_not_found, timed_out } => {
            let reason = reason::seen_by(caller, reason);
            CommandError::StartFailed { name, reason, command_not_found, timed_out }.into()
        }
        other => other.into(),
    })
}

type SpawnRequest = (InstanceName, Option<BTreeMap<String, String>>);

fn spawn_request(body: &[u8]) -> Result<SpawnRequest, ApiError> {
    let body: BTreeMap<String, &RawValue> = body::object(body)?;
    body::only(&["service", "id", "env"], &body)?;
    let text = |key: &str| {
        let text = body.get(key).and_then(|value| serde_json::from_str::<String>(value.get()).ok());
        text.ok_or_else(|| ApiError::bad_request(format!("'{key}' is missing or not a string")))
    };
    let name = InstanceName::new(&text("service")?, &text("id")?)?;
    let env = match body.get("env").map(|value| value.get()) {
        None | Some("null") => None,
        Some(env) => {
            let env: Object<&RawValue> = serde_json::from_str(env)
                .map_err(|error| ApiError::bad_request(format!("'env' must be an object: {error}")))?;
            Some(env.0.into_iter().map(variable).collect::<Result<_, _>>()?)
        }
    };
    Ok((name, env))
}

/// One variable; numbers and booleans become strings as they are written.
fn variable((key, value): (String, &RawValue)) -> Result<(String, String), ApiError> {
    let refuse = |why: &str| ApiError::bad_request(format!("'env.{}' {why}", key.escape_debug()));
    let value = match value.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str(value.get()).ok(),
        Some(b'0'..=b'9' | b'-' | b't' | b'f') => Some(value.get().to_owned()),
        _ => None,
    };
    let value = value.ok_or_else(|| refuse("must be a string, a number or a boolean"))?;
    check_variable(&key, &value).map_err(|why| refuse(&format!("is refused: {why}")))?;
    Ok((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: A6
    #[test]
    fn numbers_and_booleans_become_the_texts_they_are_written_as() {
        let body = br#"{ "service": "api", "id": "A", "env": { "BIG": 123456789012345678901234567890,
            "SMALL": -1.50e+3, "HUGE": 1e999, "ON": true, "TEXT": "a\u00e9\"" } }"#;
        let (name, env) = spawn_request(body).unwrap();
        let env = env.unwrap();
        let of = |key: &str| env[key].as_str();
        assert_eq!((name.to_string().as_str(), of("BIG")), ("api:a", "123456789012345678901234567890"));
        assert_eq!(
            [of("SMALL"), of("HUGE"), of("ON"), of("TEXT")],
            ["-1.50e+3", "1e999", "true", "a\u{e9}\""]
        );
        let without = spawn_request(br#"{ "service": "api", "id": "a", "env": null }"#).unwrap();
        assert_eq!(without.1, None);
        let deep = format!(r#"{{"service":"api","id":"a","x":{}"#, "[".repeat(100_000));
        assert!(spawn_request(deep.as_bytes()).is_err());
    }
}
