//! `/api/config/file`: the configuration file itself; `/api/config/plan`: what another text in it would do.
//!
//! ```text
//!   GET ─► text, tag ─► edited ─► plan ─► PUT with the tag ─► still that one? fit for a reload? ─► written ─► POST /api/reload
//! ```

use std::path::{Path, PathBuf};

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tenement_supervisor::{StorageError, StorageFault};
use tokio::runtime::Handle;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::Refused;
use crate::{
    api::{
        Api, ApiError,
        blocking::blocking,
        body::Body,
        error::Envelope,
        etag,
        reload::{self, CHANGING, Told},
    },
    config_file::{self, FileError, ReplaceError},
};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get, put)).routes(routes!(plan))
}

/// The configuration file as it stands there.
#[derive(Serialize, ToSchema)]
#[schema(as = ConfigFile)]
struct File {
    /// Where it is on the daemon's machine.
    #[schema(example = "/etc/tenement/tenement.toml")]
    path: String,
    /// With whatever secrets are in it.
    text: String,
    /// What `If-Match` of a `PUT` takes, its quotes included; also in the header `ETag`.
    #[schema(example = "\"9f86d081884c7d659a2feaa0c55ad015\"")]
    etag: String,
}

/// A configuration file that was just written.
#[derive(Serialize, ToSchema)]
#[schema(as = ConfigFileWritten)]
struct Written {
    /// The tag of what stands there now.
    #[schema(example = "\"9f86d081884c7d659a2feaa0c55ad015\"")]
    etag: String,
    /// What in it is probably not meant.
    warnings: Vec<String>,
}

fn tag(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let word: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{word}\"")
}

/// Get the configuration file
///
/// Its text as it is, which is not what is in force before a reload. It may hold secrets.
#[utoipa::path(
    get, path = "/api/config/file", operation_id = "get_config_file", tag = "configuration",
    responses(
        (status = 200, description = "The file", body = File, headers(("ETag" = String, description = "For `If-Match`"))),
        (status = 404, description = "There is none", body = inline(Envelope)),
        (status = 409, description = "It can't be read, or is no text", body = inline(Envelope)),
    ),
    security(("bearer" = ["admin", "unbound"])),
)]
async fn get(State(api): State<Api>) -> Result<Response, ApiError> {
    let path = path(&api)?;
    let shown = path.to_string_lossy().into_owned();
    let bytes = blocking(move || read(&path)).await?;
    let etag = tag(&bytes);
    let text = String::from_utf8(bytes)
        .map_err(|_| ApiError::conflict("The configuration file is not UTF-8: mend it on the machine"))?;
    Ok(([(header::ETAG, etag.clone())], Json(File { path: shown, text, etag })).into_response())
}

/// Replace the configuration file
///
/// As a whole or not at all, if it still is what `If-Match` says, and a reload would take it. It keeps its mode and owner, and
/// is not in force before `POST /api/reload`.
#[utoipa::path(
    put, path = "/api/config/file", operation_id = "put_config_file", tag = "configuration",
    params(("If-Match" = Option<String>, Header, description = "The tag of what is to be replaced; without it: 428")),
    request_body(content((String = "application/toml"), (String = "text/plain"))),
    responses(
        (status = 200, description = "It is written", body = Written, headers(("ETag" = String, description = "The tag of what stands there now"))),
        (status = 404, description = "There is none", body = inline(Envelope)),
        (status = 409, description = "It can't be read or written, and this says why", body = inline(Envelope)),
        (status = 412, description = "It was changed meanwhile", body = inline(Envelope)),
        (status = 422, description = "A reload would refuse it; every error at once", body = Refused),
        (status = 428, description = "`If-Match` is missing", body = inline(Envelope)),
    ),
    security(("bearer" = ["admin", "unbound"])),
)]
async fn put(State(api): State<Api>, headers: HeaderMap, Body(body): Body) -> Result<Response, ApiError> {
    if !headers.contains_key(header::IF_MATCH) {
        return Err(ApiError::precondition_required());
    }
    if api.is_draining() {
        return Err(ApiError::unavailable("tenement is shutting down"));
    }
    // Carried out to its end, whether or not somebody waits.
    let done = Handle::current().spawn(carry_out(api, headers, body)).await;
    done.map_err(|error| ApiError::internal(&error))?
}

async fn carry_out(api: Api, headers: HeaderMap, text: Bytes) -> Result<Response, ApiError> {
    let _turn = CHANGING.lock().await;
    let path = path(&api)?;
    let from = path.clone();
    let before = blocking(move || read(&from)).await?;
    if etag::matches_strongly(&headers, &tag(&before)) != Some(true) {
        return Err(ApiError::changed_meanwhile());
    }
    let told = match reload::plan(&api, text.clone()).await? {
        Ok(told) => told,
        Err(refused) => return Ok(refused.into_response()),
    };
    let etag = tag(&text);
    blocking(move || config_file::replace(&path, &before, &text).map_err(|error| not_written(&path, &error)))
        .await?;
    tracing::info!("the configuration file was replaced over the API");
    let written = Written { etag: etag.clone(), warnings: told.into_warnings() };
    Ok(([(header::ETAG, etag)], Json(written)).into_response())
}

/// Say what a configuration would do
///
/// The plan of a reload with this text in the file. Nothing is changed. A text that a reload would refuse is a 422.
#[utoipa::path(
    post, path = "/api/config/plan", operation_id = "plan_config", tag = "configuration",
    request_body(content((String = "application/toml"), (String = "text/plain"))),
    responses(
        (status = 200, description = "What would be done", body = Told),
        (status = 422, description = "A reload would refuse it; every error at once", body = Refused),
        (status = 503, description = "The daemon is ending", body = inline(Envelope)),
    ),
    security(("bearer" = ["admin", "unbound"])),
)]
async fn plan(State(api): State<Api>, Body(body): Body) -> Result<Response, ApiError> {
    // One after another, as reloads are.
    let _turn = CHANGING.lock().await;
    let told = reload::plan(&api, body).await?;
    Ok(told.map_or_else(IntoResponse::into_response, |told| Json(told).into_response()))
}

fn path(api: &Api) -> Result<PathBuf, ApiError> {
    let path = api.about.config.load().path.clone();
    path.ok_or_else(|| ApiError::not_found("There is no configuration file"))
}

/// What an error calls the file: where it is, an answer's message does not say.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("The configuration file '{}'", name.escape_debug())
}

fn read(path: &Path) -> Result<Vec<u8>, ApiError> {
    config_file::read(path).map_err(|error| {
        let (name, mend) = (name(path), "mend that on the machine");
        match error {
            FileError::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                ApiError::not_found(format!("{name} is not there any more"))
            }
            FileError::Read { source, .. } => {
                ApiError::conflict(format!("{name} can't be read: {source}; {mend}"))
            }
            FileError::TooLarge(_) => ApiError::conflict(format!("{name} has more than 1 MiB; {mend}")),
            FileError::None | FileError::NotAFile(_) => {
                ApiError::conflict(format!("{name} is not a regular file; {mend}"))
            }
        }
    })
}

fn not_written(path: &Path, error: &ReplaceError) -> ApiError {
    let name = name(path);
    let ReplaceError::Io { what, source } = error else {
        return match error {
            ReplaceError::Changed => ApiError::changed_meanwhile(),
            _ => ApiError::conflict(format!("{name} can't be written: {error}")),
        };
    };
    let uid = rustix::process::geteuid().as_raw();
    let kind = source.kind();
    let next = match kind {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            format!(
                "let the daemon, which is uid {uid}, write to it and its folder, or change it on the machine"
            )
        }
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => "make room there".to_owned(),
        _ => "change it on the machine".to_owned(),
    };
    let message = format!("{name} can't be written: {what}: {source}; {next}");
    // One that must not be written is no disk that fails.
    let fault = match kind {
        std::io::ErrorKind::ReadOnlyFilesystem => StorageFault::Other,
        _ => StorageError::of_io(what, source).fault,
    };
    tracing::warn!(path = %path.display(), %source, "the configuration file could not be written: {what}");
    ApiError::not_written(fault, message)
}
