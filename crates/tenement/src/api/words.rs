//! The words of the API as its description lists them; those that are served come from where they are decided.
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where an instance is in its life.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// Its process is being started, or waits for its turn to be.
    Starting,
    /// Its listener accepts.
    Running,
    /// It is being ended to be started again, or waits out a back-off after a crash.
    Restarting,
    /// Its processes are being ended.
    Stopping,
    /// Ended by hand and kept; only a start by hand brings it back.
    Stopped,
    /// No process; the next request wakes it.
    Sleeping,
    /// It could not be started, or crashed too often.
    Failed,
}

/// What the health checks say.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Health {
    /// No check yet, none configured, or no process.
    Unknown,
    /// The last check answered 2xx.
    Healthy,
    /// One or two checks in a row failed.
    Degraded,
    /// Three checks in a row failed.
    Unhealthy,
}

/// What brings a change of an instance's status about.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EventCause)]
pub(crate) enum Cause {
    /// The daemon started.
    Boot,
    /// A request came.
    Request,
    /// A start by hand.
    Start,
    /// A restart by hand.
    Restart,
    /// A stop by hand.
    Stop,
    /// The daemon ends.
    Shutdown,
    /// There was a place among the starts under way.
    Permit,
    /// It accepts, and its first check was good.
    Ready,
    /// It did not get ready.
    StartFailed,
    /// Its first process ended.
    Exit,
    /// Health checks failed.
    Unhealthy,
    /// Nobody used it.
    Idle,
    /// A back-off was over.
    Backoff,
    /// Nothing of its processes is left.
    Gone,
    /// It writes more log lines than it may.
    LogsOverRate,
    /// The disk has no room for log lines.
    LogsDiskFull,
    /// The disk has room for log lines again.
    LogsDiskRoom,
    /// The configuration was changed.
    Reload,
    /// Its service is not in the configuration any more.
    Removed,
}

/// What a token may do. Each includes the ones before it.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// See.
    Read,
    /// Start, stop, restart, delete.
    Write,
    /// Everything: tokens, configuration, audit.
    Admin,
}

/// How a token came to be.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TokenKind {
    /// Somebody asked for it, and keeps it.
    Token,
    /// Somebody came in by a link of `ten dashboard`.
    Link,
}

/// How a caller is known.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SessionKind {
    /// By a token.
    Token,
    /// By a token that was made for a link: `DELETE /api/session` revokes it.
    Link,
    /// Over the local socket.
    Local,
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::*;

    fn listed<T: PartialSchema>() -> serde_json::Value {
        serde_json::to_value(T::schema()).unwrap()["enum"].clone()
    }

    #[test]
    fn the_description_lists_what_there_is() {
        let status: Vec<_> = tenement_core::view::Status::ALL.iter().map(|word| word.as_str()).collect();
        let health: Vec<_> = tenement_core::view::Health::ALL.iter().map(|word| word.as_str()).collect();
        let scope: Vec<_> = crate::store::Scope::ALL.iter().map(|word| word.as_str()).collect();
        assert_eq!(listed::<Status>(), serde_json::json!(status));
        assert_eq!(listed::<Health>(), serde_json::json!(health));
        assert_eq!(listed::<Scope>(), serde_json::json!(scope));
        let kinds = [crate::store::Kind::Token, crate::store::Kind::Link].map(crate::store::Kind::as_str);
        assert_eq!(listed::<TokenKind>(), serde_json::json!(kinds));
        assert_eq!(listed::<SessionKind>(), serde_json::json!(["token", "link", "local"]));
        let cause = tenement_core::history::Cause::ALL.map(tenement_core::history::Cause::as_str);
        assert_eq!(listed::<Cause>(), serde_json::json!(cause));
    }
}
