//! Phase "forward": one request to one connection, and the answer back.
//!
//! Both directions run at the same time in one task, so an application may answer while it still reads.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use tenement_runtime::clock;

use super::{
    Client,
    answer::Answer,
    connect::Connection,
    download::{Awaited, Delivered, Download, Signals},
    upload::{Interrupted, Upload},
};
use crate::{
    config::Limits,
    http::RequestHead,
    io::{Buffer, Stream, TimedOut},
};

/// What a client may send ahead while it waits for an answer; more stays with the kernel.
const AHEAD: usize = 16 << 10;

/// Why there was no whole answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// Nothing was sent to the application.
    Unsent,
    /// Nothing came from the application.
    Silent,
    /// What came is no answer.
    BadAnswer(&'static str),
    /// No answer in time.
    TimedOut,
    /// The client's fault, and nothing was answered yet.
    Request(Answer),
    /// The client is gone.
    ClientGone,
    /// The answer broke off after it had begun.
    Truncated,
}

/// One request and the connection it goes to.
pub(super) struct Exchange<'a> {
    pub(super) head: &'a RequestHead,
    pub(super) connection: &'a Connection,
    /// Until the head of the answer.
    pub(super) patience: Duration,
    /// How long the client may take nothing of it.
    pub(super) stall: Duration,
    pub(super) awaited: Option<Awaited<'a>>,
}

/// Sends the prepared request and passes the answer on.
pub(super) async fn forward(
    client: &mut Client,
    exchange: Exchange<'_>,
    upload: &mut Upload,
    buffer: &mut Buffer,
) -> Result<Delivered, Broken> {
    let Exchange { head, connection, patience, stall, awaited } = exchange;
    let limits = client.thread.config.limits;
    let of_answer = Limits { stall, ..limits };
    let upstream = &connection.stream;
    send(client, upstream, limits.stall).await?;
    let signals = Signals::default();
    signals.uploading.set(!upload.is_done());
    let download = Download {
        client: &client.stream,
        upstream,
        buffer,
        reply: &mut client.reply,
        watchdog: &mut client.watchdog,
        limits: &of_answer,
        request: head,
        signals: &signals,
        draining: &client.thread.draining,
        awaited,
    };
    let (stream, ahead) = (&client.stream, &mut client.buffer);
    let client_side = async {
        if !upload.is_done() {
            if head.expects {
                Upload::invite(stream, ahead, &signals).await?;
            }
            match upload.pump(stream, ahead, upstream, limits.stall, &signals).await {
                // It may have answered already, or still answer.
                Err(Interrupted::UpstreamGone) => signals.refused.set(true),
                outcome => {
                    outcome?;
                    signals.uploading.set(false);
                }
            }
        }
        watch(stream, ahead, &signals).await
    };
    let outcome = both(download.run(patience), client_side, &signals).await;
    client.ended |= signals.half_closed.get().is_some();
    outcome
}

async fn send(client: &mut Client, upstream: &Stream, stall: Duration) -> Result<(), Broken> {
    let request = &client.request;
    match client.watchdog.within(stall, upstream.write_some(request)).await {
        Ok(Ok(sent)) => {
            // An application that answers without having read everything has its answer passed on.
            match client.watchdog.within(stall, upstream.write_all(&request[sent..])).await {
                Ok(_) => Ok(()),
                Err(TimedOut) => Err(Broken::TimedOut),
            }
        }
        Ok(Err(_)) => Err(Broken::Unsent),
        Err(TimedOut) => Err(Broken::TimedOut),
    }
}

/// Follows what the client does while it waits: it may send its next request, end its side, or go away.
pub(super) async fn watch(client: &Stream, ahead: &mut Buffer, signals: &Signals) -> Result<(), Interrupted> {
    while ahead.len() < AHEAD {
        match ahead.fill(client, false).await {
            Ok(0) => {
                signals.half_closed.set(Some(clock::instant()));
                return Ok(());
            }
            Ok(_) => {}
            Err(_) => return Err(Interrupted::ClientGone),
        }
    }
    Ok(())
}

async fn both(
    response: impl Future<Output = Result<Delivered, Broken>>,
    client_side: impl Future<Output = Result<(), Interrupted>>,
    signals: &Signals,
) -> Result<Delivered, Broken> {
    let (mut response, mut client_side) = (pin!(response), pin!(client_side));
    let mut over = false;
    poll_fn(|cx| {
        if let Poll::Ready(done) = response.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        if !over && let Poll::Ready(done) = client_side.as_mut().poll(cx) {
            over = true;
            if let Err(reason) = done {
                return Poll::Ready(Err(broken(reason, signals.begun.get())));
            }
        }
        Poll::Pending
    })
    .await
}

/// What an interrupted request means for its answer.
fn broken(reason: Interrupted, begun: bool) -> Broken {
    match reason {
        Interrupted::ClientGone => Broken::ClientGone,
        _ if begun => Broken::Truncated,
        Interrupted::UpstreamGone => Broken::Silent,
        Interrupted::Malformed(malformed) => Broken::Request(Answer::of(malformed)),
        Interrupted::Stalled => Broken::Request(Answer::new(408, "the request body took too long")),
    }
}
