//! `GET /api/logs/export`: everything, however much it is.

use std::{io, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream::try_unfold;
use tenement_logs::{Export, LogLine};
use tokio::sync::watch;

use super::{
    super::{Api, ApiError, Caller, stream::ended},
    feed::in_turn,
    fields::Fields,
    line::Line,
    query::LogsQuery,
};
use crate::store::Held;

/// How long the last lines have to arrive before a failure breaks the connection.
const LAST: Duration = Duration::from_secs(2);

/// What is read from, as long as somebody takes it.
struct Source {
    export: Export,
    caller: Caller,
    draining: Arc<watch::Sender<bool>>,
    _held: Held,
}

impl Source {
    /// The next lines. Whatever ends it before its end breaks the connection, so that nobody takes a part for the whole.
    async fn next(self) -> io::Result<Option<(Bytes, Self)>> {
        let Self { mut export, caller, draining, _held } = self;
        loop {
            let share = caller.share().clone();
            let read = in_turn(&share, move || {
                let lines = export.read()?;
                Ok((export, lines))
            });
            let read = tokio::select! {
                biased;
                end = ended(Some(&caller), &draining) => return Err(io::Error::other(format!("{end:?}"))),
                read = read => read,
            };
            let (back, lines) = match read {
                Ok(read) => read,
                Err(error) => {
                    // What a connection has not sent yet is lost when it breaks.
                    tokio::time::sleep(LAST).await;
                    return Err(io::Error::other(error.to_string()));
                }
            };
            export = back;
            let Some(lines) = lines else { return Ok(None) };
            if !lines.is_empty() {
                return Ok(Some((written(&lines), Self { export, caller, draining, _held })));
            }
        }
    }
}

fn written(lines: &[LogLine]) -> Bytes {
    let mut text = Vec::with_capacity(lines.iter().map(|line| line.bytes.len() + 256).sum());
    for line in lines {
        // Text and numbers: nothing of it can fail.
        let _ = serde_json::to_writer(&mut text, &Line::from(line));
        text.push(b'\n');
    }
    text.into()
}

/// All lines
///
/// As one JSON object on each line, the oldest first, in all the filters of `/api/logs` and without a limit. Lines that
/// are written after it has begun are not among them. When the connection breaks before the end, something is missing.
#[utoipa::path(
    get, path = "/api/logs/export", operation_id = "export_logs", tag = "logs", params(LogsQuery, Fields),
    responses((status = 200, description = "All lines that match", content((Line = "application/x-ndjson")))),
    security(("bearer" = ["read"])),
)]
pub(super) async fn export(
    State(api): State<Api>,
    caller: Caller,
    request: LogsQuery,
) -> Result<Response, ApiError> {
    request.unpaged()?;
    let query = request.query(&caller)?;
    let held = caller.share().stream().ok_or_else(ApiError::too_many_streams)?;
    let (logs, draining) = (api.logs.clone(), Arc::clone(&api.draining));
    let export = in_turn(caller.share(), move || logs.export(&query)).await?;
    let source = Source { export, caller, draining, _held: held };
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(try_unfold(source, Source::next))).into_response())
}
