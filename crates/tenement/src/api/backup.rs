//! `GET /api/backup`: the daemon's own state as one file.

use std::io::{self, Write};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream::unfold;
use tenement_runtime::clock;
use tokio::sync::mpsc;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Api, ApiError, blocking::blocking, instances::timestamp};
use crate::backup::{self, Snapshot};

/// Pieces that wait for the client.
const WAITING: usize = 8;
const PIECE: usize = 64 << 10;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get))
}

/// A backup
///
/// Of what the daemon keeps for itself: instances, tokens, history, how far log sinks have come. Not of logs, and not of the
/// instances' data. A tar archive packed with zstd, to be put back by `ten restore`. It is as secret as the data directory.
/// When the connection breaks before the end, it is not whole.
#[utoipa::path(
    get, path = "/api/backup", operation_id = "backup", tag = "daemon",
    responses((status = 200, description = "The archive", body = Vec<u8>, content_type = "application/zstd")),
    security(("bearer" = ["admin", "unbound"])),
)]
async fn get(State(api): State<Api>) -> Result<Response, ApiError> {
    let (dir, now) = (api.about.data_dir.clone(), timestamp(clock::wall()));
    let snapshot = blocking(move || Snapshot::take(&dir, now)).await?;
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let pieces = io::BufWriter::with_capacity(PIECE, Pieces(sender.clone()));
        if let Err(error) = snapshot.write(pieces) {
            tracing::error!(%error, "a backup ends before its end");
            // An error means that nobody wants it any more.
            let _ = sender.blocking_send(Err(error));
        }
    });
    let body = unfold(receiver, async |mut receiver: mpsc::Receiver<io::Result<Bytes>>| {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    let headers = [(header::CONTENT_TYPE, backup::TYPE), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(Box::pin(body))).into_response())
}

/// Hands on what is written.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
