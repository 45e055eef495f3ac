//! `/api/instances`.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use tenement_core::{
    config::check_variable,
    name::InstanceName,
    time::WallMillis,
    view::{Health, InstanceView, Status},
};
use tenement_runtime::clock;
use tenement_supervisor::StopMode;

use super::{
    Api, ApiError,
    body::{self, Body, Object},
    error::named,
    page::Page,
    query::{Instance, QueryOf},
};

/// RFC 3339 with `Z`.
pub(super) fn timestamp(at: WallMillis) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    let at = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn summary(view: &InstanceView) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("instance".into(), view.name.to_string().into());
    map.insert("service".into(), view.name.service.as_str().into());
    map.insert("id".into(), view.name.id.as_str().into());
    map.insert("socket".into(), view.socket.to_string_lossy().into());
    if let Some(port) = view.port {
        map.insert("port".into(), port.into());
    }
    map.insert("status".into(), view.status.as_str().into());
    map.insert("uptime_ms".into(), view.uptime_ms.into());
    map.insert("health".into(), view.health.as_str().into());
    map.insert("restart_count".into(), view.restart_count.into());
    if let Some(reason) = &view.reason {
        map.insert("reason".into(), reason.as_str().into());
    }
    map
}

fn details(view: &InstanceView) -> Map<String, Value> {
    let mut map = summary(view);
    map.insert("created_at".into(), timestamp(view.created_at).into());
    map.insert("last_health_check".into(), view.last_health_check.map(timestamp).into());
    map
}

#[derive(Deserialize)]
pub(super) struct ListQuery {
    service: Option<String>,
    status: Option<String>,
    health: Option<String>,
    limit: Option<String>,
    offset: Option<String>,
    usage: Option<bool>,
}

pub(super) async fn list(
    State(api): State<Api>,
    QueryOf(query): QueryOf<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    let page = Page::parse(query.limit.as_deref(), query.offset.as_deref())?;
    let unknown = |key: &str, word: &str| ApiError::bad_request(format!("'{key}' can't be '{word}'"));
    let status =
        query.status.as_deref().map(|word| Status::from_word(word).ok_or_else(|| unknown("status", word)));
    let health =
        query.health.as_deref().map(|word| Health::from_word(word).ok_or_else(|| unknown("health", word)));
    let (status, health) = (status.transpose()?, health.transpose()?);
    let wanted = |view: &InstanceView| {
        query.service.as_deref().is_none_or(|service| view.name.service.as_str() == service)
            && status.is_none_or(|status| view.status == status)
            && health.is_none_or(|health| view.health == health)
    };
    let views = api.supervisor.list().await;
    let usage = if query.usage.unwrap_or(false) { Some(usage(&api, &views).await) } else { None };
    let entry = |view: &InstanceView| {
        let mut entry = summary(view);
        if let Some(usage) = &usage {
            let (memory, cpu) = usage.get(&view.name).copied().unwrap_or_default();
            entry.insert("memory_mb".into(), memory.into());
            entry.insert("cpu_percent".into(), cpu.into());
        }
        entry
    };
    let all = views.iter().filter(|view| wanted(view)).map(entry).collect();
    let (instances, pagination) = page.cut(all);
    Ok(Json(json!({ "instances": instances, "pagination": pagination })))
}

/// MiB with one decimal.
pub(super) fn mebibytes(bytes: u64) -> f64 {
    (bytes as f64 / (1 << 20) as f64 * 10.0).round() / 10.0
}

/// Memory in MiB, and processor time in percent of one core, of those that run.
async fn usage(api: &Api, views: &[InstanceView]) -> BTreeMap<InstanceName, (f64, f64)> {
    let used = api.supervisor.usage().await;
    let uptimes: BTreeMap<_, _> =
        views.iter().map(|view| (&view.name, Duration::from_millis(view.uptime_ms))).collect();
    let uptime_of = |name: &InstanceName| uptimes.get(name).copied().unwrap_or_default();
    let percent = api.samples.percent(clock::instant(), &used, uptime_of);
    let both = percent.into_iter().map(|(name, cpu)| {
        let memory = mebibytes(used.get(&name).map_or(0, |used| used.memory_bytes));
        (name, (memory, cpu))
    });
    both.collect()
}

#[derive(Deserialize)]
pub(super) struct SpawnQuery {
    wait: Option<bool>,
}

pub(super) async fn spawn(
    State(api): State<Api>,
    QueryOf(query): QueryOf<SpawnQuery>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let (name, env) = spawn_request(&body)?;
    let view = api.supervisor.spawn(name, env, query.wait.unwrap_or(true)).await?;
    let answer = json!({
        "instance": view.name.to_string(),
        "socket": view.socket.to_string_lossy(),
        "status": view.status.as_str(),
        "uptime_ms": view.uptime_ms,
    });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

type SpawnRequest = (InstanceName, Option<BTreeMap<String, String>>);

fn spawn_request(body: &[u8]) -> Result<SpawnRequest, ApiError> {
    let body: BTreeMap<String, &RawValue> = body::object(body)?;
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

pub(super) async fn get(
    State(api): State<Api>,
    Instance(service, id): Instance,
) -> Result<Json<Map<String, Value>>, ApiError> {
    let view = api.supervisor.get(&named(&service, &id)?).await?;
    Ok(Json(details(&view)))
}

pub(super) async fn restart(
    State(api): State<Api>,
    Instance(service, id): Instance,
) -> Result<Json<Value>, ApiError> {
    let view = api.supervisor.restart(named(&service, &id)?).await?;
    Ok(Json(json!({ "instance": view.name.to_string(), "status": Status::Restarting.as_str() })))
}

#[derive(Deserialize)]
pub(super) struct DeleteQuery {
    keep: Option<bool>,
    purge: Option<bool>,
}

pub(super) async fn delete(
    State(api): State<Api>,
    Instance(service, id): Instance,
    QueryOf(query): QueryOf<DeleteQuery>,
) -> Result<Json<Value>, ApiError> {
    let mode = match (query.keep.unwrap_or(false), query.purge.unwrap_or(false)) {
        (true, true) => return Err(ApiError::bad_request("'keep' and 'purge' exclude each other")),
        (true, false) => StopMode::Keep,
        (false, true) => StopMode::Purge,
        (false, false) => StopMode::Forget,
    };
    let name = named(&service, &id)?;
    api.supervisor.stop(name.clone(), mode).await?;
    Ok(Json(json!({ "instance": name.to_string(), "status": Status::Stopped.as_str() })))
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: A6
    #[test]
    fn numbers_and_booleans_become_the_texts_they_are_written_as() {
        let body =
            br#"{ "service": "api", "id": "A", "more": [[1]], "env": { "BIG": 123456789012345678901234567890,
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
