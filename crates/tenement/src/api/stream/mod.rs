//! Answers that go on: over a WebSocket, as server-sent events, or a JSON object on each line.
//!
//! ```text
//!   Feed ── Items ──► socket, or body ──► reader
//!    ▲                     │
//!    └── asked for more only when the last ones are on their way: nothing piles up here
//! ```
//!
//! They end with the daemon, and when their token is revoked or expires.

mod body;
mod origin;
mod page;
mod reader;
mod socket;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::ws::Utf8Bytes,
    http::header,
    response::{IntoResponse, Response},
};
use tokio::sync::watch;

pub use self::reader::{READ_BUFFER, WRITE_BUFFER};
use self::socket::Told;
pub(super) use self::{
    page::token,
    reader::Reader,
    socket::{Event, Socket, code, farewell},
};
use super::{Api, ApiError, Caller};

/// One thing to tell.
#[derive(Debug)]
pub(super) struct Item {
    /// What a reader that comes again names it by.
    pub(super) id: Option<String>,
    /// A JSON object on one line.
    pub(super) text: Utf8Bytes,
}

/// Where items come from.
pub(super) trait Feed: Send + 'static {
    /// Waits for the next ones. May be given up and begun anew at any time; nothing is lost then.
    fn next(&mut self) -> impl Future<Output = Result<Vec<Item>, ApiError>> + Send;
}

/// Why a stream ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The token was revoked or has expired.
    Caller,
    /// The daemon ends.
    Daemon,
}

/// Returns when a stream has to end.
pub(super) async fn ended(caller: Option<&Caller>, draining: &Arc<watch::Sender<bool>>) -> End {
    let mut draining = draining.subscribe();
    let token = async {
        match caller {
            Some(caller) => caller.ended().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = token => End::Caller,
        _ = draining.wait_for(|&draining| draining) => End::Daemon,
    }
}

/// Whether an answer is to go on. `bounded`: the request says where it ends.
pub(super) fn follows(follow: Option<bool>, bounded: bool) -> Result<bool, ApiError> {
    let follows = follow == Some(true);
    if follows && bounded {
        return Err(ApiError::bad_request("'offset' and 'until' mean nothing together with 'follow'"));
    }
    Ok(follows)
}

/// Tells what comes from `feed`, in the way the reader asks for.
pub(super) fn answer(
    api: &Api,
    caller: Caller,
    feed: impl Feed,
    reader: Reader,
) -> Result<Response, ApiError> {
    let held = caller.share().stream().ok_or_else(ApiError::too_many_streams)?;
    let draining = Arc::clone(&api.draining);
    let (form, lines) = (reader.form(), reader.takes_lines());
    if let Some(upgrade) = reader.socket(api)? {
        return Ok(upgrade.on_upgrade(move |socket| async move {
            let told = if lines { Told::Lines } else { Told::Items };
            socket::serve(socket, feed, caller, draining, told).await;
            drop(held);
        }));
    }
    let kind = form.kind();
    let body = Body::new(body::Text::new(feed, (caller, held), draining, form));
    // What buffers on the way would keep lines from who waits for them.
    let headers =
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store"), (body::UNBUFFERED, "no")];
    Ok((headers, body).into_response())
}
