//! Large answers: no more of a token's at the same time than its share, and given up when nobody reads them.
//!
//! ```text
//!   share ─► made: the turn is the next one's ─► piece ─► piece ─► … ─► read to the end: the share is free again
//!                                                  └── no piece taken for 30 s, or not read in 30 s while it
//!                                                      keeps others waiting: it is let go, the connection breaks
//! ```

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::header,
    response::{IntoResponse, Response},
};
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use tokio::{runtime::Handle, time::sleep};

use super::ApiError;
use crate::store::{Held, Turn};

/// What is handed on in one go.
const PIECE: usize = 64 << 10;
/// How often it is looked whether somebody reads, and how often nobody may have.
const LOOK: Duration = Duration::from_secs(10);
const LOOKS: u32 = 3;

/// What is left of an answer, and the share it takes; `None` once it was given up.
type Left = Mutex<Option<(Bytes, Held)>>;

/// An answer as JSON. Its place is free when it was read or nobody does.
pub(super) fn json(value: &impl Serialize, Turn { making, place }: Turn) -> Result<Response, ApiError> {
    let bytes = Bytes::from(serde_json::to_vec(value).map_err(|error| ApiError::internal(&error))?);
    drop(making);
    let headers = [(header::CONTENT_TYPE, "application/json")];
    if bytes.len() <= PIECE {
        return Ok((headers, bytes).into_response());
    }
    let left = Arc::new(Mutex::new(Some((bytes, place))));
    Handle::current().spawn(watch(Arc::downgrade(&left)));
    Ok((headers, Body::new(Delivery(left))).into_response())
}

/// Gives up what nobody reads, and what is read slowly where others wait for its place.
async fn watch(left: std::sync::Weak<Left>) {
    let (mut last, mut looks) = (usize::MAX, 0);
    for age in 1.. {
        sleep(LOOK).await;
        let Some(left) = left.upgrade() else { return };
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((bytes, place)) = &*left else { return };
        looks = if bytes.len() == last { looks + 1 } else { 0 };
        last = bytes.len();
        if looks == LOOKS || (age >= LOOKS && place.keeps_others_waiting()) {
            *left = None;
        }
    }
}

struct Delivery(Arc<Left>);

impl HttpBody for Delivery {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((bytes, _)) = &mut *left else {
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        };
        if bytes.is_empty() {
            return Poll::Ready(None);
        }
        let piece = bytes.split_to(bytes.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        SizeHint::with_exact(left.as_ref().map_or(0, |(bytes, _)| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use futures_util::{FutureExt, StreamExt};

    use super::*;
    use crate::store::Share;

    #[tokio::test(start_paused = true)]
    async fn what_nobody_reads_is_let_go_and_what_is_read_arrives() {
        let (share, value) = (Share::default(), vec!["x".repeat(1000); 1000]);
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(json(&value, share.answer().await).unwrap());
        }
        let read = answers.pop().unwrap();
        let body = to_bytes(read.into_body(), usize::MAX).await.unwrap();
        assert_eq!(serde_json::from_slice::<Vec<String>>(&body).unwrap(), value);
        answers.push(json(&value, share.answer().await).unwrap());
        // All are taken; the next one's turn comes when the first are given up.
        drop(share.answer().await);
        let gone = to_bytes(answers.remove(0).into_body(), usize::MAX).await;
        assert!(gone.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_read_slowly_arrives_unless_others_wait_for_its_place() {
        let (maker, value) = (Share::default(), vec!["x".repeat(1000); 1000]);
        let session = maker.of_session();
        // Until there is no place left.
        let mut others = Vec::new();
        for arrives in [true, false] {
            let answer = json(&value, session.answer().await).unwrap();
            while !arrives && let Some(other) = maker.of_session().answer().now_or_never() {
                others.push(other.place);
            }
            let mut pieces = answer.into_body().into_data_stream();
            let mut is_given_up = false;
            while !is_given_up && let Some(piece) = pieces.next().await {
                is_given_up = piece.is_err();
                sleep(LOOK / 2).await;
            }
            assert_eq!(is_given_up, !arrives);
        }
    }
}
