//! `POST /api/upgrade`: another process takes the place of this one, and no request fails.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::Value;
use tenement_runtime::keeper::Link;
use tokio::sync::oneshot;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api, ApiError, Caller,
    body::{self, JsonBody},
};

/// Not held up by what it waits for.
pub(super) const PATH: &str = "/api/upgrade";

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(upgrade))
}

/// The upgrade under way, and who waits for its end.
#[derive(Debug, Default)]
pub struct Upgrades {
    keeper: Link,
    waiting: Mutex<Option<oneshot::Sender<Outcome>>>,
}

/// The release of the successor, or why there is none.
type Outcome = Result<String, String>;

impl Upgrades {
    /// By this keeper.
    #[must_use]
    pub fn new(keeper: Link) -> Self {
        Self { keeper, waiting: Mutex::default() }
    }

    /// Whoever waits is told.
    pub(crate) fn over(&self, outcome: Outcome) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiting) = waiting {
            let _ = waiting.send(outcome);
        }
    }

    /// What to wait for; none if somebody else waits already, who might be told what became of this one.
    fn begin(&self, asked: &Asked) -> Option<oneshot::Receiver<Outcome>> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Who went away meanwhile does not end what was begun.
        if waiting.is_some() {
            return None;
        }
        *waiting = Some(sender);
        self.keeper.upgrade(asked.program.as_deref(), asked.patience);
        Some(receiver)
    }
}

/// What is asked for.
#[derive(ToSchema)]
#[allow(dead_code)] // Described by this, read by `asked`.
struct UpgradeRequest {
    /// The program, by its whole path; only over the local socket. Without it: the file that the daemon was started from.
    #[schema(example = "/usr/local/bin/ten")]
    binary: Option<String>,
    /// Seconds that each stage of the new process has: to look whether it can run, and to take over. 60 without it, 600 at
    /// most.
    #[schema(minimum = 1, maximum = 600)]
    timeout: Option<u64>,
}

/// The same, read.
#[derive(Default)]
struct Asked {
    program: Option<PathBuf>,
    patience: Option<Duration>,
}

/// What was done.
#[derive(Serialize, ToSchema)]
#[schema(as = Upgraded)]
struct Upgraded {
    /// The release that answered before.
    #[schema(example = "0.1.0")]
    from: &'static str,
    /// The release that answers now.
    #[schema(example = "0.2.0")]
    to: String,
}

/// Have another process take over
///
/// It is started from the program's file, and reads the configuration file. It looks whether it can run with both and with the
/// state before anything is changed. Then it takes over listening sockets, instances and connections. Requests under way,
/// WebSockets and downloads go on in the process that leaves, for at most ten minutes. The answer comes when the new one serves.
#[utoipa::path(
    post, path = "/api/upgrade", operation_id = "upgrade", tag = "daemon",
    request_body = Option<UpgradeRequest>,
    responses(
        (status = 200, description = "Another process serves", body = Upgraded),
        (status = 409, description = "It could not, and this says why; this one goes on", body = inline(super::error::Envelope)),
        (status = 503, description = "The daemon is ending", body = inline(super::error::Envelope)),
    ),
    security(("bearer" = ["admin", "unbound"])),
)]
async fn upgrade(
    State(api): State<Api>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<Json<Upgraded>, ApiError> {
    let asked = asked(&body)?;
    if asked.program.is_some() && !caller.is_local() {
        return Err(ApiError::bad_request(
            "'binary' can be named over the local socket only: use 'ten upgrade' there",
        ));
    }
    if api.is_draining() {
        return Err(ApiError::unavailable("tenement is shutting down"));
    }
    if !api.upgrades.keeper.is_kept() {
        return Err(ApiError::not_upgraded(
            "the keeper is gone, which would start the successor: start 'ten serve' with the same data directory, it takes over",
        ));
    }
    let Some(outcome) = api.upgrades.begin(&asked) else {
        return Err(ApiError::not_upgraded("an upgrade is under way"));
    };
    match outcome.await.unwrap_or_else(|_| Err("the daemon is ending".to_owned())) {
        Ok(to) => Ok(Json(Upgraded { from: env!("CARGO_PKG_VERSION"), to })),
        Err(why) => Err(ApiError::not_upgraded(why)),
    }
}

fn asked(body: &[u8]) -> Result<Asked, ApiError> {
    if matches!(body.trim_ascii(), b"" | b"null") {
        return Ok(Asked::default());
    }
    let members = body::object::<Value>(body)?;
    body::only(&["binary", "timeout"], &members)?;
    let program = match members.get("binary") {
        None | Some(Value::Null) => None,
        Some(Value::String(path)) if Path::new(path).is_absolute() => Some(PathBuf::from(path)),
        Some(_) => {
            return Err(ApiError::bad_request("'binary' must be a whole path, such as /usr/local/bin/ten"));
        }
    };
    let patience = match members.get("timeout").map(Value::as_u64) {
        None => None,
        Some(Some(seconds @ 1..=600)) => Some(Duration::from_secs(seconds)),
        Some(_) if members.get("timeout") == Some(&Value::Null) => None,
        Some(_) => {
            return Err(ApiError::bad_request("'timeout' must be a whole number of seconds from 1 to 600"));
        }
    };
    Ok(Asked { program, patience })
}
