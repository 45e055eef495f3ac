//! The error envelope, and the one place where a failure becomes a status.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tenement_core::name::{InstanceName, NameError};
use tenement_supervisor::CommandError;

/// A refusal as the client sees it.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// The service's command does not exist: `ten` ends with 127 then, as a shell does.
    command_not_found: bool,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), command_not_found: false }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "A valid bearer token is required")
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

    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "The request could not be carried out")
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
            CommandError::StartFailed { .. } | CommandError::ShuttingDown => {
                (StatusCode::SERVICE_UNAVAILABLE, "service_unavailable")
            }
            CommandError::Storage(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        };
        let command_not_found = matches!(error, CommandError::StartFailed { command_not_found: true, .. });
        Self { command_not_found, ..Self::new(status, code, error.to_string()) }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({ "error": self.code, "message": self.message, "status": self.status.as_u16() });
        if self.command_not_found {
            body["command_not_found"] = true.into();
        }
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
