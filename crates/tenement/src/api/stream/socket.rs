//! One WebSocket (RFC 6455): reads and writes at the same time, and has at most one batch on its way.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout},
};
use tungstenite::Error;

use super::{
    End, Feed, Item,
    body::{self, Form, QUIET},
    ended,
};
use crate::api::Caller;

/// Between two pings.
const PING: Duration = Duration::from_secs(30);
/// Pings that may stay without any answer.
const UNANSWERED: u32 = 2;
/// How long the end of a connection may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// Messages of lines that a page did not say it has read.
const UNREAD: usize = 4;
/// What fits into the reason of a close frame.
const REASON_MAX: usize = 123;

/// Why a connection is closed, as numbers (RFC 6455 section 7.4.1).
pub(in crate::api) mod code {
    /// The daemon ends.
    pub(in crate::api) const AWAY: u16 = 1001;
    /// The peer does not speak the protocol.
    pub(in crate::api) const PROTOCOL: u16 = 1002;
    /// Something else than text.
    pub(in crate::api) const UNSUPPORTED: u16 = 1003;
    /// Text that is none.
    pub(in crate::api) const INVALID: u16 = 1007;
    /// A message that means nothing here.
    pub(in crate::api) const POLICY: u16 = 1008;
    /// A message that is too large.
    pub(in crate::api) const TOO_BIG: u16 = 1009;
    /// Something failed that should not.
    pub(in crate::api) const INTERNAL: u16 = 1011;
    /// No valid token, or none any more.
    pub(in crate::api) const UNAUTHORIZED: u16 = 4401;
    /// Too many requests of this token.
    pub(in crate::api) const RATE_LIMITED: u16 = 4429;
}

type Outgoing = SplitSink<WebSocket, Message>;

enum Writing {
    Idle(Outgoing),
    Busy(Pin<Box<dyn Future<Output = Result<Outgoing, axum::Error>> + Send>>),
    /// It failed.
    Over,
}

/// What happened on a connection.
#[derive(Debug)]
pub(in crate::api) enum Event {
    /// The peer said something.
    Said(Utf8Bytes),
    /// What was sent is on its way; there is room for more.
    Sent,
    /// The connection has ended.
    Gone,
    /// The connection must be closed, for this reason.
    Refused(u16, &'static str),
}

/// One connection.
pub(in crate::api) struct Socket {
    incoming: SplitStream<WebSocket>,
    writing: Writing,
    pings: Interval,
    /// Pings since the peer was last heard.
    unanswered: u32,
    ping_due: bool,
}

impl Socket {
    pub(in crate::api) fn new(socket: WebSocket) -> Self {
        let (outgoing, incoming) = socket.split();
        let mut pings = interval_at(Instant::now() + PING, PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { incoming, writing: Writing::Idle(outgoing), pings, unanswered: 0, ping_due: false }
    }

    /// Whether something may be sent.
    pub(in crate::api) fn is_idle(&self) -> bool {
        matches!(self.writing, Writing::Idle(_))
    }

    /// Sends items, each in a message of its own. Only when it is idle.
    pub(in crate::api) fn send(&mut self, items: Vec<Item>) {
        self.write(items.into_iter().map(|item| Message::Text(item.text)).collect());
    }

    /// Sends items in one message, a line each; nothing is a sign of life, as a page is not told of pings. Only when it is idle.
    fn send_lines(&mut self, items: &[Item]) {
        self.write(vec![Message::Text(body::written(items, Form::Lines).into())]);
    }

    fn write(&mut self, messages: Vec<Message>) {
        match std::mem::replace(&mut self.writing, Writing::Over) {
            Writing::Idle(mut outgoing) => {
                self.writing = Writing::Busy(Box::pin(async move {
                    for message in messages {
                        outgoing.feed(message).await?;
                    }
                    outgoing.flush().await?;
                    Ok(outgoing)
                }));
            }
            other => self.writing = other,
        }
    }

    /// Waits for what happens, and meanwhile writes what is to be sent. May be given up at any time.
    pub(in crate::api) async fn event(&mut self) -> Event {
        loop {
            if self.ping_due && self.is_idle() {
                self.ping_due = false;
                self.write(vec![Message::Ping(Default::default())]);
            }
            tokio::select! {
                message = self.incoming.next() => {
                    self.unanswered = 0;
                    match message {
                        Some(Ok(Message::Text(text))) => return Event::Said(text),
                        Some(Ok(Message::Binary(_))) => {
                            return Event::Refused(code::UNSUPPORTED, "only text is understood");
                        }
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        // The library answers a close frame when it is asked for what comes after it.
                        Some(Ok(Message::Close(_))) => {}
                        Some(Err(error)) => return refusal(error),
                        None => return Event::Gone,
                    }
                }
                sent = written(&mut self.writing) => {
                    self.writing = sent.map_or(Writing::Over, Writing::Idle);
                    return if self.is_idle() { Event::Sent } else { Event::Gone };
                }
                _ = self.pings.tick() => {
                    if self.unanswered == UNANSWERED {
                        return Event::Refused(code::POLICY, "no ping was answered");
                    }
                    self.unanswered += 1;
                    self.ping_due = true;
                }
            }
        }
    }

    /// Says why it ends, and ends it. What is on its way is given up when the peer does not read it.
    pub(in crate::api) async fn close(mut self, code: u16, reason: &str) {
        let end = (0..=reason.len().min(REASON_MAX)).rev().find(|&at| reason.is_char_boundary(at));
        let reason = reason[..end.unwrap_or(0)].into();
        let farewell = async {
            let mut outgoing = match self.writing {
                Writing::Idle(outgoing) => outgoing,
                Writing::Busy(busy) => busy.await.ok()?,
                Writing::Over => return None,
            };
            outgoing.send(Message::Close(Some(CloseFrame { code, reason }))).await.ok()?;
            while let Some(Ok(_)) = self.incoming.next().await {}
            Some(())
        };
        let _ = timeout(FAREWELL, farewell).await;
    }
}

/// Waits until what is being written is.
async fn written(writing: &mut Writing) -> Option<Outgoing> {
    match writing {
        Writing::Busy(busy) => busy.await.ok(),
        Writing::Idle(_) | Writing::Over => std::future::pending().await,
    }
}

fn refusal(error: axum::Error) -> Event {
    match error.into_inner().downcast_ref::<Error>() {
        Some(Error::Protocol(_)) => Event::Refused(code::PROTOCOL, "that is not the WebSocket protocol"),
        Some(Error::Capacity(_)) => Event::Refused(code::TOO_BIG, "the message is too large"),
        Some(Error::Utf8(_)) => Event::Refused(code::INVALID, "the text is not UTF-8"),
        _ => Event::Gone,
    }
}

/// How a peer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Each item is a message.
    Items,
    /// All that there is at a time is one, with a line for each. Whatever the peer says means that it has read one.
    Lines,
}

/// Tells the peer what comes from `feed`.
pub(super) async fn serve(
    socket: WebSocket,
    mut feed: impl Feed,
    caller: Caller,
    draining: Arc<watch::Sender<bool>>,
    told: Told,
) {
    let mut socket = Socket::new(socket);
    let (lines, mut unread) = (told == Told::Lines, 0_usize);
    let (code, reason) = loop {
        let idle = socket.is_idle();
        tokio::select! {
            biased;
            end = ended(Some(&caller), &draining) => break farewell(end),
            event = socket.event() => match event {
                Event::Said(_) if lines => unread = unread.saturating_sub(1),
                Event::Said(_) => break (code::POLICY, "nothing is to be said here".to_owned()),
                Event::Sent => {}
                Event::Gone => return,
                Event::Refused(code, reason) => break (code, reason.to_owned()),
            },
            items = feed.next(), if idle && unread < UNREAD => match items {
                Ok(items) if lines => {
                    unread += usize::from(!items.is_empty());
                    socket.send_lines(&items);
                }
                Ok(items) => socket.send(items),
                Err(_) => break (code::INTERNAL, "something failed".to_owned()),
            },
            () = sleep(QUIET), if idle && lines => socket.send_lines(&[]),
        }
    };
    socket.close(code, &reason).await;
}

/// What is said at an end.
pub(in crate::api) fn farewell(end: End) -> (u16, String) {
    match end {
        End::Caller => (code::UNAUTHORIZED, "the token was revoked or has expired".to_owned()),
        End::Daemon => (code::AWAY, "the daemon ends".to_owned()),
    }
}
