//! Why there is no answer, and which exit code that is.

use hyper::{Method, StatusCode};
use serde_json::Value;

use super::super::failure::{
    EXIT_CONFIG, EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_NO_COMMAND, EXIT_NO_INSTANCE, EXIT_NOT_ALLOWED,
    EXIT_RUNNING, EXIT_TIMEOUT, EXIT_UNREACHABLE, Failure,
};

/// What the API answered, or why it did not.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Error {
    /// Nobody answers there.
    #[error("{0}")]
    Unreachable(String),
    /// What answers there is no tenement.
    #[error("{0}")]
    Foreign(String),
    /// It is a tenement, but one that can't do this yet.
    #[error("{0}")]
    Outdated(String),
    /// We may not.
    #[error("{0}")]
    NotAllowed(String),
    /// It took too long.
    #[error("{0}")]
    TimedOut(String),
    /// Ctrl-C.
    #[error("{0}")]
    Interrupted(String),
    /// The API refused.
    #[error("{message}")]
    Refused {
        /// The status of its answer.
        status: u16,
        /// The word for programs.
        code: String,
        /// The sentence for people, with what to do next.
        message: String,
        /// The service's command does not exist.
        command_not_found: bool,
        /// A start took longer than the service may take.
        timed_out: bool,
    },
}

/// What a `not_found` speaks of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// The service of a new instance.
    Service,
    /// A token.
    Token,
    /// Something the API does not have.
    Route,
}

impl Subject {
    pub(super) fn of(method: &Method, path: &str) -> Self {
        match path.split('?').next().unwrap_or_default() {
            "/api/instances" if method == Method::POST => Self::Service,
            path if path.starts_with("/api/tokens/") => Self::Token,
            _ => Self::Route,
        }
    }
}

impl Error {
    /// From the API's envelope, if it is one.
    pub(super) fn refused(status: StatusCode, answer: &Value, subject: Subject) -> Option<Self> {
        let (code, message) = (answer["error"].as_str()?, answer["message"].as_str()?);
        let hint = match code {
            "forbidden" => match scope(message) {
                Some(scope) => format!(": use a token with '{scope}': ten token-gen --scope {scope}"),
                None if message.contains("is bound to") => ": use a token that is bound to nothing".into(),
                None => String::new(),
            },
            "service_unavailable" if message.ends_with("is shutting down") => {
                ": start it again with 'ten serve', or wait until it is back".into()
            }
            "instance_not_found" => ": see what there is with 'ten ps'".into(),
            "not_found" if subject == Subject::Service => ": see what is with 'ten config'".into(),
            "not_found" if subject == Subject::Token => ": see what there is with 'ten tokens'".into(),
            "rate_limited" => ": wait a little and try again".into(),
            "not_found" | "method_not_allowed" if subject == Subject::Route => {
                format!(
                    ": the daemon may be of another version than this ten ({}): see 'ten status'",
                    env!("CARGO_PKG_VERSION")
                )
            }
            _ => String::new(),
        };
        let field = || message.strip_prefix("field: ").map(|why| format!("--field: {why}"));
        let message = grep(message).or_else(field).unwrap_or_else(|| message.to_owned());
        Some(Self::Refused {
            status: status.as_u16(),
            code: code.to_owned(),
            message: format!("{message}{hint}"),
            command_not_found: answer["command_not_found"] == true,
            timed_out: answer["timed_out"] == true,
        })
    }

    /// Whether it may go well when it is tried again a little later: nobody is there, or too busy.
    pub(in crate::cli) fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Refused { status: 429 | 502 | 503, .. })
    }

    /// Whether the API refused with this word.
    pub(in crate::cli) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == word)
    }
}

/// The scope that was missing.
fn scope(message: &str) -> Option<&str> {
    message.split_once("the scope '")?.1.split_once('\'').map(|(scope, _)| scope)
}

/// What is wrong with a pattern, without the picture of it that takes several lines.
fn grep(message: &str) -> Option<String> {
    let why = message.strip_prefix("grep: ")?.lines().last()?.trim();
    let why = why.strip_prefix("error: ").unwrap_or(why);
    Some(format!("--grep: that is no regular expression: {why}; for plain text use --search"))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let code = match error {
            Error::Unreachable(_) | Error::Foreign(_) => EXIT_UNREACHABLE,
            Error::Outdated(_) => EXIT_FAILURE,
            Error::NotAllowed(_) => EXIT_NOT_ALLOWED,
            Error::TimedOut(_) => EXIT_TIMEOUT,
            Error::Interrupted(_) => EXIT_INTERRUPTED,
            Error::Refused { status, code, command_not_found, timed_out, .. } => {
                let exit = match (code.as_str(), status) {
                    _ if command_not_found => EXIT_NO_COMMAND,
                    _ if timed_out => EXIT_TIMEOUT,
                    ("instance_not_found", _) => EXIT_NO_INSTANCE,
                    ("conflict", _) => EXIT_RUNNING,
                    ("query_timeout", _) => EXIT_TIMEOUT,
                    (_, 400 | 422) => EXIT_CONFIG,
                    (_, 401 | 403) => EXIT_NOT_ALLOWED,
                    _ => EXIT_FAILURE,
                };
                exit.refused(&code, status)
            }
        };
        Self { code, message }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn exit(status: u16, word: &str) -> u8 {
        let answer = json!({ "error": word, "message": "m", "status": status });
        let error = Error::refused(StatusCode::from_u16(status).unwrap(), &answer, Subject::Route).unwrap();
        Failure::from(error).code.number()
    }

    #[test]
    fn refusals_have_the_exit_codes_of_the_contract() {
        let codes = [
            (404, "instance_not_found", 3),
            (404, "not_found", 1),
            (409, "conflict", 4),
            (400, "bad_request", 2),
            (422, "unprocessable_entity", 2),
            (401, "unauthorized", 6),
            (403, "forbidden", 6),
            (503, "service_unavailable", 1),
            (503, "query_timeout", 5),
            (500, "internal_error", 1),
        ];
        for (status, word, code) in codes {
            assert_eq!(exit(status, word), code, "{word}");
        }
        let missing = json!({ "error": "service_unavailable", "message": "m", "command_not_found": true });
        let error = Error::refused(StatusCode::SERVICE_UNAVAILABLE, &missing, Subject::Service).unwrap();
        assert_eq!(Failure::from(error).code.number(), 127);
    }

    // faults: L2
    #[test]
    fn what_has_no_envelope_is_no_refusal_and_a_missing_route_hints_at_the_version() {
        assert!(Error::refused(StatusCode::NOT_FOUND, &json!({ "detail": "x" }), Subject::Route).is_none());
        let answer = json!({ "error": "not_found", "message": "There is nothing at this address" });
        let error = Error::refused(StatusCode::NOT_FOUND, &answer, Subject::Route).unwrap();
        assert!(error.to_string().contains("another version"), "{error}");
    }
}
