//! `/api/config`.

mod file;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenement_core::config::{Config, Diagnostic, Parsed, effective};
use tenement_runtime::own;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Api, ApiError, blocking::blocking, body::Body, from_json, rejoined};
use crate::{
    config_file::{self, FileError},
    in_effect::Text,
};

const STRIPPED: &str = "the body has no line breaks: 'curl -d' strips them, and here it can't be told where they were; \
    send it with --data-binary @tenement.toml";
const PUT_BACK: &str = "the body had no line breaks, as 'curl -d' strips them: they were put back; send it with \
    --data-binary @tenement.toml to have it checked as it is";

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get)).routes(routes!(validate_file, validate)).merge(file::router())
}

/// The configuration in force. Keys are those of `tenement.toml`.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = Config)]
struct InForce {
    /// Durations are seconds.
    #[schema(value_type = Object)]
    settings: Value,
    /// By name.
    #[schema(value_type = BTreeMap<String, Object>)]
    services: BTreeMap<String, Value>,
    /// Those that are declared, by service.
    instances: BTreeMap<String, Vec<String>>,
}

/// Get the configuration in force
///
/// Every default is filled in. Values of variables whose names look like those of secrets are `***`.
#[utoipa::path(
    get, path = "/api/config", operation_id = "get_config", tag = "configuration",
    responses((status = 200, description = "What is in force", body = InForce)),
    security(("bearer" = ["admin", "unbound"])),
)]
async fn get(State(api): State<Api>) -> Result<Json<InForce>, ApiError> {
    let shown = serde_json::to_value(effective(&api.about.config.load())).and_then(serde_json::from_value);
    shown.map(Json).map_err(|error| ApiError::internal(&error))
}

/// Check the configuration file
///
/// What the daemon would be started with now. Nothing is applied.
#[utoipa::path(
    get, path = "/api/config/validate", operation_id = "validate_config_file", tag = "configuration",
    responses(
        (status = 200, description = "It can be used", body = Valid),
        (status = 400, description = "It can't; every error at once", body = Invalid),
    ),
    security(("bearer" = ["admin", "unbound"])),
)]
async fn validate_file(State(api): State<Api>, Body(body): Body) -> Result<Response, ApiError> {
    checked(&api, body).await
}

/// Check a configuration
///
/// Whatever the content type says, a body that begins with `{` is JSON and any other is TOML; without one the file on
/// disk is checked. Line breaks that `curl -d @tenement.toml` strips are put back where that is safe. Nothing is applied.
#[utoipa::path(
    post, path = "/api/config/validate", operation_id = "validate_config", tag = "configuration",
    request_body(content((Option<String> = "application/toml"), (Option<Object> = "application/json"))),
    responses(
        (status = 200, description = "It can be used", body = Valid),
        (status = 400, description = "It can't; every error at once", body = Invalid),
    ),
    security(("bearer" = ["admin", "unbound"])),
)]
async fn validate(State(api): State<Api>, Body(body): Body) -> Result<Response, ApiError> {
    checked(&api, body).await
}

/// One after another: nobody needs many at once.
static CHECKING: Semaphore = Semaphore::const_new(1);

async fn checked(api: &Api, body: Bytes) -> Result<Response, ApiError> {
    let path = api.about.config.load().path.clone();
    let turn = CHECKING.acquire().await.map_err(|error| ApiError::internal(&error))?;
    let checked = blocking(move || {
        let _turn = turn;
        let verdict = check(&body, path);
        give_back(body.len());
        Ok::<_, ApiError>(verdict)
    });
    Ok(checked.await?.into_response())
}

/// Bytes of a text from which on it is worth while.
const LARGE: usize = 64 << 10;

/// Gives the memory back that it took to look at a text of so many bytes. Blocks.
pub(super) fn give_back(bytes: usize) {
    if bytes >= LARGE {
        own::give_back_memory();
    }
}

/// A configuration that can be used.
#[derive(Serialize, ToSchema)]
#[schema(as = ConfigValid)]
struct Valid {
    /// True.
    valid: bool,
    /// What is probably not meant.
    warnings: Vec<String>,
}

/// A configuration that can't.
#[derive(Serialize, ToSchema)]
#[schema(as = ConfigInvalid)]
struct Invalid {
    /// False.
    valid: bool,
    /// All of them.
    errors: Vec<String>,
    /// What else is probably not meant, if there is something.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// What was found, in the order of the text.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Verdict {
    fn refused(error: impl Into<String>) -> Self {
        Self { errors: vec![error.into()], warnings: Vec::new() }
    }

    /// `placed`: lines and columns are those of what was sent.
    fn of(findings: &[Diagnostic], placed: bool) -> Self {
        let mut verdict = Self::default();
        for finding in findings {
            let text = match finding {
                // These name no key, so the place is all that leads to them.
                Diagnostic { syntax: true, line, column, message, .. } if placed => {
                    format!("line {line}, column {column}: {message}")
                }
                Diagnostic { message, .. } => message.clone(),
            };
            let list = if finding.is_error() { &mut verdict.errors } else { &mut verdict.warnings };
            list.push(text);
        }
        verdict
    }
}

impl IntoResponse for Verdict {
    fn into_response(self) -> Response {
        let Self { errors, warnings } = self;
        if errors.is_empty() {
            return Json(Valid { valid: true, warnings }).into_response();
        }
        (StatusCode::BAD_REQUEST, Json(Invalid { valid: false, errors, warnings })).into_response()
    }
}

/// Checks a body, or the file when there is none. Blocks.
fn check(body: &[u8], file: Option<PathBuf>) -> Verdict {
    if body.trim_ascii().is_empty() {
        return on_disk(file.as_deref());
    }
    // Relative paths are those of the file.
    let file = file.unwrap_or_else(|| PathBuf::from("tenement.toml"));
    let parse = |text: &[u8], placed| match config_file::check(text, &file) {
        Ok(parsed) => Verdict::of(&parsed.diagnostics, placed),
        Err(error) => Verdict::refused(format!("relative paths can't be told: {error}")),
    };
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if text.trim_ascii_start().starts_with(b"{") {
        return match from_json::to_toml(text) {
            Ok(text) => parse(text.as_bytes(), false),
            Err(why) => Verdict::refused(why),
        };
    }
    let lines = match std::str::from_utf8(text) {
        Ok(text) if !text.contains(['\n', '\r']) => rejoined::statements(text),
        _ => return parse(body, true),
    };
    match lines {
        None => Verdict::refused(STRIPPED),
        Some(lines) if lines.len() < 2 => parse(body, true),
        Some(lines) => {
            let mut verdict = parse(lines.join("\n").as_bytes(), false);
            verdict.warnings.insert(0, PUT_BACK.to_owned());
            verdict
        }
    }
}

/// A configuration file that can't be used; nothing was changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConfigRefused)]
pub(super) struct Refused {
    /// A word for programs.
    #[schema(example = "unprocessable_entity")]
    error: &'static str,
    /// A sentence for people.
    pub(super) message: String,
    /// The status of the answer.
    #[schema(example = 422)]
    status: u16,
    /// False. This and what follows is not there where an `Idempotency-Key` was used for another request.
    #[schema(required = false)]
    valid: bool,
    /// All of them.
    #[schema(required = false)]
    errors: Vec<String>,
    /// What else is probably not meant.
    #[schema(required = false)]
    warnings: Vec<String>,
    /// The same with their places, in the order of the file.
    #[schema(required = false)]
    findings: Vec<Finding>,
}

/// What is wrong with a file, and where.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConfigFinding)]
struct Finding {
    /// `error` or `warning`.
    severity: &'static str,
    /// From 1.
    line: usize,
    /// In characters, from 1.
    column: usize,
    message: String,
    /// The line, without secrets.
    snippet: String,
}

impl Finding {
    fn of(found: &Diagnostic) -> Self {
        Self {
            severity: if found.is_error() { "error" } else { "warning" },
            line: found.line,
            column: found.column,
            message: found.message.clone(),
            snippet: found.snippet.clone(),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (StatusCode::UNPROCESSABLE_ENTITY, Json(self)).into_response()
    }
}

impl From<Verdict> for Refused {
    fn from(Verdict { errors, warnings }: Verdict) -> Self {
        let message = format!("Nothing was changed: {}", errors.join("; "));
        let status = StatusCode::UNPROCESSABLE_ENTITY.as_u16();
        Self {
            error: "unprocessable_entity",
            message,
            status,
            valid: false,
            errors,
            warnings,
            findings: Vec::new(),
        }
    }
}

/// A configuration that can be used: where it comes from, and what is probably not meant.
pub(super) type Usable = (Config, Text, Vec<String>);

/// What stands in the file now, when it has no errors, or with `strict` no warnings either. Blocks.
pub(super) fn of_file(file: Option<&Path>, strict: bool) -> Result<Usable, Refused> {
    usable(parsed(file)?, strict)
}

/// The same of a text that could stand in the file. Blocks.
pub(super) fn of_text(bytes: Vec<u8>, file: Option<&Path>, strict: bool) -> Result<Usable, Refused> {
    let text = Text { path: file.unwrap_or(Path::new("tenement.toml")).to_owned(), bytes };
    let parsed = text.check().map_err(|error| in_words(&error))?;
    usable((parsed, text), strict)
}

fn usable((parsed, text): (Parsed, Text), strict: bool) -> Result<Usable, Refused> {
    let Verdict { mut errors, mut warnings } = Verdict::of(&parsed.diagnostics, true);
    if strict {
        errors.append(&mut warnings);
    }
    match parsed.config.filter(|_| errors.is_empty()) {
        Some(config) => Ok((config, text, warnings)),
        None => Err(Refused {
            findings: parsed.diagnostics.iter().map(Finding::of).collect(),
            ..Verdict { errors, warnings }.into()
        }),
    }
}

/// Checks what the daemon would be started with now.
fn on_disk(file: Option<&Path>) -> Verdict {
    let (verdict, bytes) = match parsed(file) {
        Ok((parsed, text)) => (Verdict::of(&parsed.diagnostics, true), text.bytes.len()),
        Err(refused) => (refused, 0),
    };
    give_back(bytes);
    verdict
}

fn parsed(file: Option<&Path>) -> Result<(Parsed, Text), Verdict> {
    let Some(file) = file else {
        return Err(Verdict::refused("there is no file: send the configuration as the body"));
    };
    let read = config_file::read(file).map(|bytes| Text { path: file.to_owned(), bytes });
    let checked = read.and_then(|text| Ok((text.check()?, text)));
    checked.map_err(|error| in_words(&error))
}

/// An answer names no path of this machine.
fn in_words(error: &FileError) -> Verdict {
    match error {
        FileError::Read { source, .. } => {
            Verdict::refused(format!("the configuration file can't be read: {source}"))
        }
        FileError::TooLarge(_) => Verdict::refused("the configuration file has more than 1 MiB"),
        FileError::None | FileError::NotAFile(_) => {
            Verdict::refused("the configuration file is not a regular file")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Verdict {
        check(body.as_bytes(), None)
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn what_it_takes_to_look_at_a_large_file_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tenement.toml");
        let keys: String = (0..20_000).map(|key| format!("variable_{key} = '{key}'\n")).collect();
        #[allow(clippy::disallowed_methods, reason = "a test's own file")]
        std::fs::write(&path, format!("[service.api]\ncommand = 'x'\n[service.api.env]\n{keys}")).unwrap();
        let before = own::load().resident_bytes;
        assert_eq!(check(b"", Some(path)), Verdict::default());
        let after = own::load().resident_bytes;
        assert!(after < before + (8 << 20), "{before} bytes before, {after} after");
    }

    // faults: C1 C2 C3
    #[test]
    fn a_body_is_what_it_looks_like() {
        let missing = ["Service 'api' missing required field: command"];
        assert_eq!(of("[service.api]\nhealth = '/'\n").errors, missing);
        assert_eq!(of(r#"{ "service": { "api": { "health": "/" } } }"#).errors, missing);
        assert_eq!(of(r#"  {"services":{"api":{"command":"x"}}}"#), Verdict::default());
        assert_eq!(of("service.api.command = 'x'"), Verdict::default());
        assert_eq!(of("\u{feff}[service.api]\r\ncommand = 'x'\r\n"), Verdict::default());
        assert_eq!(of("{").errors.len(), 1);
        let typo = of("[service.api]\ncommand = 'x'\nhelth = '/'\n");
        assert_eq!(typo.warnings, ["[service.api]: unknown key 'helth' (did you mean 'health'?)"]);
        assert!(typo.errors.is_empty());
        let broken = of("[service.api]\ncommand = \n").errors;
        assert!(broken[0].starts_with("line 2, column "), "{broken:?}");
    }

    #[test]
    fn line_breaks_that_curl_stripped_are_put_back_where_that_is_safe() {
        let stripped = of("[service.api]command = './api'idle_timeout = 30restart = 'always'");
        assert_eq!(stripped, Verdict { errors: vec![], warnings: vec![PUT_BACK.into()] });
        let wrong = of("[service.api]health = '/health'[service.web]command = 'x'");
        assert_eq!(wrong.errors, ["Service 'api' missing required field: command"]);
        let comment = of("[service.api]command = './api' # the app[instances]api = ['a']");
        assert_eq!(comment.errors, [STRIPPED]);
        assert!(STRIPPED.contains("--data-binary"));
    }

    #[test]
    fn without_a_body_the_file_is_checked_and_not_named() {
        assert_eq!(of(" \n").errors.len(), 1);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tenement.toml");
        let gone = check(b"", Some(path.clone())).errors;
        assert!(!gone[0].contains(path.to_str().unwrap()), "{gone:?}");
        #[allow(clippy::disallowed_methods, reason = "a test's own file")]
        std::fs::write(&path, "[service.api]\n").unwrap();
        assert_eq!(check(b"", Some(path)).errors, ["Service 'api' missing required field: command"]);
    }
}
