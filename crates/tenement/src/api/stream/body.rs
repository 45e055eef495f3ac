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
/// After so long without an item there is a sign of life, so that nobody on the way takes it for a connection that
/// is forgotten, and the reader knows one that is dead from one that is quiet.
pub(super) const QUIET: Duration = Duration::from_secs(8);

/// How items are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Server-sent events; a sign of life is a comment.
    Events,
    /// A JSON object on each line.
    Lines,
    /// The same, for a reader that asks for signs of life: those are empty lines.
    LinesAlive,
}

impl Form {
    /// The media type.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream",
            Self::Lines | Self::LinesAlive => "application/x-ndjson",
        }
    }

    fn sign(self) -> Option<&'static str> {
        match self {
            Self::Events => Some(":\n\n"),
            Self::Lines => None,
            Self::LinesAlive => Some("\n"),
        }
    }
}

type Next<F> = Pin<Box<dyn Future<Output = Option<(Bytes, Source<F>)>> + Send>>;

/// Items as text, as long as somebody reads it.
pub(super) struct Text<F>(Option<Next<F>>);

struct Source<F> {
    feed: F,
    caller: Caller,
    _held: Held,
    draining: Arc<watch::Sender<bool>>,
    form: Form,
}

impl<F: Feed> Text<F> {
    pub(super) fn new(
        feed: F,
        (caller, held): (Caller, Held),
        draining: Arc<watch::Sender<bool>>,
        form: Form,
    ) -> Self {
        Self(Some(Box::pin(Source { feed, caller, _held: held, draining, form }.next())))
    }
}

impl<F: Feed> Source<F> {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let sign = self.form.sign();
        let text = tokio::select! {
            biased;
            _ = ended(Some(&self.caller), &self.draining) => return None,
            // A failure was told to the log already.
            items = self.feed.next() => written(&items.ok()?, self.form),
            () = sleep(QUIET), if sign.is_some() => sign.unwrap_or_default().to_owned(),
        };
        Some((text.into(), self))
    }
}

pub(super) fn written(items: &[Item], form: Form) -> String {
    let mut text = String::with_capacity(items.iter().map(|item| item.text.len() + 64).sum());
    for item in items {
        if form == Form::Events {
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

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use super::*;
    use crate::api::ApiError;

    struct Quiet;

    impl Feed for Quiet {
        async fn next(&mut self) -> Result<Vec<Item>, ApiError> {
            pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_gives_signs_of_life_to_who_takes_them() {
        for (form, sign) in
            [(Form::Events, Some(":\n\n")), (Form::LinesAlive, Some("\n")), (Form::Lines, None)]
        {
            let caller = Caller::local();
            let held = caller.share().stream().unwrap();
            let mut text = Text::new(Quiet, (caller, held), Arc::default(), form);
            let frame = poll_fn(|context| Pin::new(&mut text).poll_frame(context));
            let said = tokio::time::timeout(2 * QUIET, frame).await.ok();
            let said = said.map(|frame| frame.unwrap().unwrap().into_data().unwrap());
            assert_eq!(said.as_deref(), sign.map(str::as_bytes), "{form:?}");
        }
    }
}
