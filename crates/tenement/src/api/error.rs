//! The error envelope, and the one place where a failure becomes a status.

use std::fmt;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tenement_core::name::{InstanceName, NameError};
use tenement_supervisor::{CommandError, StorageFault};
use utoipa::ToSchema;

use super::{
    Subject,
    limit::{Of, Window},
};
use crate::{
    backup::BackupError,
    history::HistoryError,
    store::{Scope, StoreError},
};

/// What every answer under `/api` that is not a success says.
#[derive(ToSchema)]
#[allow(dead_code)] // Described by this, written by `into_response`.
pub(super) struct Envelope {
    /// A word for programs.
    #[schema(example = "instance_not_found")]
    error: String,
    /// A sentence for people.
    #[schema(example = "Instance 'api:user123' not found")]
    message: String,
    /// The status of the answer.
    #[schema(example = 404)]
    status: u16,
}

/// A refusal as the client sees it.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Why a start failed, where that is for programs.
    start: Option<StartFailure>,
    /// The window that is used up.
    window: Option<Box<Window>>,
    /// What it was about, where that is not in the path.
    subject: Option<Box<Subject>>,
}

/// When it is worth trying again, in seconds, where nobody can say when something is free.
const SOON: HeaderValue = HeaderValue::from_static("30");

/// Why a start failed.
#[derive(Clone, Copy, Debug)]
enum StartFailure {
    /// The service's command does not exist: `ten` ends with 127 then, as a shell does.
    NoCommand,
    /// It was given up after the service's `startup_timeout`: `ten` ends with 5 then.
    TimedOut,
}

impl StartFailure {
    /// What is true in the envelope then.
    fn member(self) -> &'static str {
        match self {
            Self::NoCommand => "command_not_found",
            Self::TimedOut => "timed_out",
        }
    }
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), start: None, window: None, subject: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "A valid bearer token is required")
    }

    pub(super) fn no_such_link() -> Self {
        let message = "This link is not valid: it was used, or is too old; 'ten dashboard' makes another one";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(super) fn link_for_more() -> Self {
        let message = "A link can't be for more than the token that makes it, which is bound to a service or an instance";
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(super) fn session_makes_no_links() -> Self {
        let message = "Who came by a link makes no links: use the token that made it, or 'ten dashboard' on the machine";
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(super) fn missing_scope(scope: Scope) -> Self {
        let message = format!("This needs the scope '{scope}', which this token does not have");
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(super) fn bound() -> Self {
        let message = "This is about the whole machine, and this token is bound to a service or an instance";
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(super) fn rate_limited(window: &Window) -> Self {
        let (limit, after) = (window.limit(), window.retry_after());
        let whose = match window.of() {
            Of::One => "with this token",
            Of::Sessions => "of all who came by links of the same token",
        };
        let message = format!("More than {limit} requests {whose}; try again in {after} s");
        Self { window: Some(Box::new(*window)), ..Self::too_many(message) }
    }

    pub(super) fn too_many_failures(window: &Window) -> Self {
        let after = window.retry_after();
        let message = format!("Too many wrong tokens from this address; try again in {after} s");
        Self { window: Some(Box::new(*window)), ..Self::too_many(message) }
    }

    fn too_many(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
    }

    pub(super) fn too_many_bodies() -> Self {
        Self::too_many("Too many large bodies are sent with this token at once; send fewer, or try again")
    }

    pub(super) fn too_many_streams() -> Self {
        Self::too_many("Too many streams are open with this token; close some of them")
    }

    pub(super) fn too_many_strangers() -> Self {
        Self::too_many(
            "Too many connections have not said who they are; send the token with the handshake, or try again",
        )
    }

    pub(super) fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable_entity", message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", message)
    }

    /// Another daemon takes over, and this one changes nothing any more.
    pub(super) fn upgrading() -> Self {
        CommandError::HandedOver.into()
    }

    /// The daemon goes on as it is.
    pub(super) fn not_upgraded(why: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "not_upgraded", why)
    }

    /// A query that found no end in its time.
    pub(super) fn late(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "query_timeout", message)
    }

    pub(crate) fn timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    }

    pub(crate) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address")
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "This address does not take this method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message)
    }

    pub(crate) fn instance_not_found(service: &str, id: &str) -> Self {
        let message = format!("Instance '{service}:{id}' not found");
        Self::new(StatusCode::NOT_FOUND, "instance_not_found", message)
    }

    pub(super) fn foreign_origin() -> Self {
        let message = "Pages of this origin may not: name it in [settings] allowed_origins if they should";
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(super) fn upgrade_required(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message)
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether it is the daemon's fault.
    pub(super) fn is_internal(&self) -> bool {
        self.status.is_server_error()
    }

    pub(super) fn about(self, subject: Subject) -> Self {
        Self { subject: Some(Box::new(subject)), ..self }
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    pub(super) fn precondition_required() -> Self {
        let message = "'If-Match' must say what is to be replaced: it is the 'etag' that a GET answers";
        Self::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", message)
    }

    pub(super) fn changed_meanwhile() -> Self {
        let message = "The file was changed meanwhile: get it again, and make the change there";
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", message)
    }

    /// A file that is not the state's.
    pub(super) fn not_written(fault: StorageFault, message: String) -> Self {
        match fault {
            StorageFault::Other => Self::conflict(message),
            fault => {
                let (status, code) = storage(fault);
                Self::new(status, code, message)
            }
        }
    }

    fn stored(fault: StorageFault, error: &dyn std::error::Error) -> Self {
        match storage(fault) {
            (StatusCode::INTERNAL_SERVER_ERROR, _) => Self::internal(error),
            (status, code) => {
                tracing::error!(%error, "request failed");
                Self::new(status, code, error.to_string())
            }
        }
    }

    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "The request could not be carried out")
    }
}

/// What is wrong, for people.
impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The instance a path names; a name that can't exist is one that does not.
pub(crate) fn named(service: &str, id: &str) -> Result<InstanceName, ApiError> {
    InstanceName::new(service, id).map_err(|_| ApiError::instance_not_found(service, id))
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        let (status, code) = match &error {
            CommandError::UnknownService(_) => (StatusCode::NOT_FOUND, "not_found"),
            CommandError::NotFound(_) => (StatusCode::NOT_FOUND, "instance_not_found"),
            CommandError::Conflict { .. } => (StatusCode::CONFLICT, "conflict"),
            CommandError::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable_entity"),
            CommandError::HandedOver => (StatusCode::SERVICE_UNAVAILABLE, "upgrading"),
            CommandError::GoesOn(_) => (StatusCode::SERVICE_UNAVAILABLE, "goes_on"),
            CommandError::StartFailed { .. } | CommandError::ShuttingDown => {
                (StatusCode::SERVICE_UNAVAILABLE, "service_unavailable")
            }
            CommandError::Storage(error) => storage(error.fault),
        };
        let start = match error {
            CommandError::StartFailed { command_not_found: true, .. } => Some(StartFailure::NoCommand),
            CommandError::StartFailed { timed_out: true, .. } => Some(StartFailure::TimedOut),
            _ => None,
        };
        Self { start, ..Self::new(status, code, error.to_string()) }
    }
}

/// What it means to a client that something could not be kept. Who comes again later may have more luck.
fn storage(fault: StorageFault) -> (StatusCode, &'static str) {
    match fault {
        StorageFault::Full => (StatusCode::INSUFFICIENT_STORAGE, "insufficient_storage"),
        StorageFault::Failing => (StatusCode::SERVICE_UNAVAILABLE, "storage_failed"),
        StorageFault::Other => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::stored(error.fault(), &error)
    }
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        Self::stored(error.fault(), &error)
    }
}

impl From<HistoryError> for ApiError {
    fn from(error: HistoryError) -> Self {
        Self::stored(error.fault(), &error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({ "error": self.code, "message": self.message, "status": self.status.as_u16() });
        if let Some(start) = self.start {
            body[start.member()] = true.into();
        }
        let mut response = (self.status, Json(body)).into_response();
        if let Some(subject) = self.subject {
            response.extensions_mut().insert(*subject);
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, SOON);
        }
        if let Some(window) = self.window {
            response.headers_mut().insert(header::RETRY_AFTER, window.retry_after().into());
            for (name, value) in window.headers() {
                response.headers_mut().insert(name, value.into());
            }
        }
        if self.code == "upgrading" {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            let headers = response.headers_mut();
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_one_too_many_is_told_when_to_come_back() {
        for refused in [ApiError::too_many_streams, ApiError::too_many_strangers, ApiError::too_many_bodies] {
            let response = refused().into_response();
            assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &SOON));
        }
    }
}
