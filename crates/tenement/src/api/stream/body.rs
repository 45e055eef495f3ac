//! A body that goes on.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Bytes, HttpBody},
    http::HeaderName,
};
use hyper::body::Frame;
use tokio::{sync::watch, time::sleep};

use super::{Feed, Item, ended};
use crate::{api::Caller, store::Held};

/// Tells nginx, and who does as nginx does, to pass on what comes.
pub(super) const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");
/// After so long without an event there is a comment, so that nobody on the way takes it for a connection that
/// is forgotten.
const QUIET: Duration = Duration::from_secs(15);

type Next<F> = Pin<Box<dyn Future<Output = Option<(Bytes, Source<F>)>> + Send>>;

/// Items as text, as long as somebody reads it.
pub(super) struct Text<F>(Option<Next<F>>);

struct Source<F> {
    feed: F,
    caller: Caller,
    _held: Held,
    draining: Arc<watch::Sender<bool>>,
    events: bool,
}

impl<F: Feed> Text<F> {
    /// `events`: as server-sent events.
    pub(super) fn new(
        feed: F,
        (caller, held): (Caller, Held),
        draining: Arc<watch::Sender<bool>>,
        events: bool,
    ) -> Self {
        Self(Some(Box::pin(Source { feed, caller, _held: held, draining, events }.next())))
    }
}

impl<F: Feed> Source<F> {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let text = tokio::select! {
            biased;
            _ = ended(Some(&self.caller), &self.draining) => return None,
            // A failure was told to the log already.
            items = self.feed.next() => written(&items.ok()?, self.events),
            () = sleep(QUIET), if self.events => ":\n\n".to_owned(),
        };
        Some((text.into(), self))
    }
}

fn written(items: &[Item], events: bool) -> String {
    let mut text = String::with_capacity(items.iter().map(|item| item.text.len() + 64).sum());
    for item in items {
        if events {
            if let Some(id) = &item.id {
                text.extend(["id: ", id, "\n"]);
            }
            text.extend(["data: ", &item.text, "\n\n"]);
        } else {
            text.extend([&item.text, "\n"]);
        }
    }
    text
}

impl<F: Feed> HttpBody for Text<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(next) = &mut self.0 else { return Poll::Ready(None) };
        match next.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                self.0 = None;
                Poll::Ready(None)
            }
            Poll::Ready(Some((text, source))) => {
                self.0 = Some(Box::pin(source.next()));
                Poll::Ready(Some(Ok(Frame::data(text))))
            }
        }
    }
}
