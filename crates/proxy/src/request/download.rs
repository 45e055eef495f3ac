//! Phase "forward", response: from the application to the client, as it comes.
//!
//! ```text
//!   head ──► 1xx: passed on, the next head ──► 101: tunnel
//!     │ nothing came: Silent · malformed: Bad (502) · too late: TimedOut (504)
//!     ▼
//!   body, by length / in chunks / until the end ──► Done
//!     └─ broke off: Truncated, the client's connection is reset
//! ```

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use tenement_core::slot::{WakeStage, Wakes};
use tenement_runtime::clock;

use super::{forward::Broken, upload::LONG, wake::Waiting};
use crate::{
    config::Limits,
    http::{Body, Chunks, Emit, Malformed, RequestHead, ResponseHead, ResponseShape, Version, chunk},
    io::{Buffer, Ended, Stream, TimedOut, Watchdog},
};

/// Answers before the answer that one request may get.
const MAX_INTERIM: usize = 16;
/// A body up to this size goes out in one piece with its head; copying it costs less than a second piece.
const JOINED: usize = 8 << 10;

/// What both directions of an exchange know of each other.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// The request body is still coming.
    pub(super) uploading: Cell<bool>,
    /// The client was told to send its body.
    pub(super) continued: Cell<bool>,
    /// Something of the final answer has gone to the client.
    pub(super) begun: Cell<bool>,
    /// When the client ended its side. It may have left, or wait for its answer.
    pub(super) half_closed: Cell<Option<Instant>>,
    /// While the application has to take more of the body before anything goes on: what it had not taken yet.
    pub(super) blocked: Cell<Option<usize>>,
    /// The application will take no more of the body.
    pub(super) refused: Cell<bool>,
    /// When something of the body was last passed on.
    pub(super) progress: Cell<Option<Instant>>,
}

impl Signals {
    /// How much longer to wait for an answer after `patience` without one, which counts from the end of the request:
    /// as long as that is still coming, the application has no reason to answer.
    fn extension(&self, patience: Duration, upstream: &Stream) -> Option<Duration> {
        let left = self.progress.get().and_then(|at| patience.checked_sub(at.elapsed()));
        if left.is_some_and(|left| !left.is_zero()) {
            return left;
        }
        if !self.uploading.get() || self.refused.get() {
            return None;
        }
        match self.blocked.get() {
            // It is the client's turn, with a limit of its own.
            None => Some(patience),
            // What it takes in small bites does not make room at once.
            Some(before) => {
                let now = upstream.unsent().filter(|&now| now < before)?;
                self.blocked.set(Some(now));
                Some(patience)
            }
        }
    }
}

/// Of a request that waited for an instance to be woken: since when, and where that is counted.
pub(super) struct Awaited<'a> {
    pub(super) waiting: &'a mut Waiting,
    pub(super) wakes: &'a Wakes,
}

impl Awaited<'_> {
    /// The first byte has come.
    fn over(&mut self) {
        if let Some(since) = self.waiting.take() {
            self.wakes.observe(WakeStage::FirstByte, since.elapsed());
        }
    }
}

/// A response under way.
pub(super) struct Download<'a> {
    pub(super) client: &'a Stream,
    pub(super) upstream: &'a Stream,
    /// Read from the application and not yet used.
    pub(super) buffer: &'a mut Buffer,
    /// What goes to the client next.
    pub(super) reply: &'a mut Vec<u8>,
    pub(super) watchdog: &'a mut Watchdog,
    pub(super) limits: &'a Limits,
    pub(super) request: &'a RequestHead,
    pub(super) signals: &'a Signals,
    pub(super) draining: &'a Cell<bool>,
    pub(super) awaited: Option<Awaited<'a>>,
}

/// A response that was passed on to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivered {
    pub(super) status: u16,
    /// Bytes of the body.
    pub(super) bytes: u64,
    /// The application takes another request on this connection.
    pub(super) upstream_keeps: bool,
    /// The client was told that no other answer follows.
    pub(super) closing: bool,
}

impl Download<'_> {
    /// Passes the response on. `patience`: until its head, from the end of the request on.
    pub(super) async fn run(mut self, patience: Duration) -> Result<Delivered, Broken> {
        let mut interim = 0;
        loop {
            let (head, closing) = self.head(patience, interim > 0).await?;
            self.buffer.consume(head.bytes);
            if !head.is_interim() {
                return self.body(head, closing).await;
            }
            interim += 1;
            if interim > MAX_INTERIM {
                return Err(Broken::BadAnswer("it has no end of interim answers"));
            }
            let wanted = match head.status {
                100 => self.request.expects && !self.signals.continued.replace(true),
                _ => self.request.version == Version::Http11,
            };
            if wanted {
                let sending = self.client.write_all(self.reply);
                written(self.watchdog.sending(self.limits.stall, self.client, sending).await)?;
            }
        }
    }

    async fn head(&mut self, patience: Duration, heard: bool) -> Result<(ResponseHead, bool), Broken> {
        self.watchdog.set(patience);
        loop {
            let closing = !self.request.keep_alive || self.draining.get() || self.signals.uploading.get();
            let shape = ResponseShape { close: closing, version: self.request.version };
            self.reply.clear();
            if !self.buffer.is_empty()
                && let Some(head) =
                    ResponseHead::parse(self.buffer, self.request, self.limits, shape, self.reply)
                        .map_err(|Malformed { why, .. }| Broken::BadAnswer(why))?
            {
                return Ok((head, closing));
            }
            match self.watchdog.guard(self.buffer.fill(self.upstream, false)).await {
                Ok(Ok(1..)) => {
                    if let Some(awaited) = &mut self.awaited {
                        awaited.over();
                    }
                }
                Ok(_) if self.buffer.is_empty() && !heard => return Err(Broken::Silent),
                Ok(_) => return Err(Broken::BadAnswer("it ended within its head")),
                Err(TimedOut) => match self.signals.extension(patience, self.upstream) {
                    Some(more) => self.watchdog.set(more),
                    None => return Err(Broken::TimedOut),
                },
            }
        }
    }

    async fn body(&mut self, head: ResponseHead, closing: bool) -> Result<Delivered, Broken> {
        let delivered =
            |bytes, upstream_keeps| Delivered { status: head.status, bytes, upstream_keeps, closing };
        let bytes = match head.body {
            Body::None => self.send().await.map(|()| 0)?,
            Body::Length(length) => self.sized(length).await?,
            Body::Chunked => self.chunked(&head.trailers).await?,
            Body::UntilClose => self.unbounded().await?,
        };
        // What comes after the end belongs to nobody; it must not become somebody's answer.
        let clean = head.status == 101 || self.buffer.is_empty();
        Ok(delivered(bytes, head.keep_alive && clean))
    }

    async fn sized(&mut self, length: u64) -> Result<u64, Broken> {
        let mut left = length;
        let mut with_head = true;
        loop {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            if with_head {
                self.send_with(count).await?;
                with_head = false;
            } else {
                let sending = self.client.write_all(&self.buffer[..count]);
                written(self.watchdog.sending(self.limits.stall, self.client, sending).await)?;
            }
            self.buffer.consume(count);
            left -= count as u64;
            if left == 0 {
                return Ok(length);
            }
            if self.more(left > LONG).await? == 0 {
                return Err(Broken::Truncated);
            }
        }
    }

    async fn chunked(&mut self, trailers: &[u8]) -> Result<u64, Broken> {
        let plain = self.request.version == Version::Http10;
        let mut chunks = Chunks::new(if plain { Emit::Plain } else { Emit::Chunks }, trailers);
        let mut bytes = 0;
        loop {
            let taken = chunks.pass(self.buffer, self.reply).map_err(|Malformed { why, .. }| {
                if self.signals.begun.get() { Broken::Truncated } else { Broken::BadAnswer(why) }
            })?;
            self.buffer.consume(taken);
            bytes += taken as u64;
            self.send().await?;
            self.reply.clear();
            if chunks.is_done() {
                return Ok(bytes);
            }
            if self.more(true).await? == 0 {
                return Err(Broken::Truncated);
            }
        }
    }

    async fn unbounded(&mut self) -> Result<u64, Broken> {
        let plain = self.request.version == Version::Http10;
        let mut bytes = 0;
        loop {
            if plain {
                self.reply.extend_from_slice(self.buffer);
            } else {
                chunk(self.buffer, self.reply);
            }
            let count = self.buffer.len();
            self.buffer.consume(count);
            bytes += count as u64;
            self.send().await?;
            self.reply.clear();
            if self.more(true).await? == 0 {
                break;
            }
        }
        if !plain {
            self.reply.extend_from_slice(b"0\r\n\r\n");
            self.send().await?;
        }
        Ok(bytes)
    }

    /// Sends what is in `reply`.
    async fn send(&mut self) -> Result<(), Broken> {
        self.send_with(0).await
    }

    /// Sends what is in `reply`, and the first `count` bytes of the buffer.
    async fn send_with(&mut self, count: usize) -> Result<(), Broken> {
        let body = &self.buffer[..count];
        self.signals.begun.set(true);
        let done = if count <= JOINED {
            self.reply.extend_from_slice(body);
            let sending = self.client.write_all(self.reply);
            self.watchdog.sending(self.limits.stall, self.client, sending).await
        } else {
            let sending = self.client.write_both(self.reply, body);
            self.watchdog.sending(self.limits.stall, self.client, sending).await
        };
        written(done)
    }

    /// Waits for more of the body; 0 at its end. An application may be silent for as long as it wants, unless
    /// the client has ended its side and may be gone.
    async fn more(&mut self, large: bool) -> Result<usize, Broken> {
        let mut ended = None;
        self.watchdog.set(self.limits.gone);
        loop {
            match self.watchdog.guard(self.buffer.fill(self.upstream, large)).await {
                Ok(Ok(read)) => return Ok(read),
                Ok(Err(_)) => return Err(Broken::Truncated),
                Err(TimedOut) => self.watchdog.set(self.left(&mut ended).ok_or(Broken::ClientGone)?),
            }
        }
    }

    /// How much longer a silent answer is waited for before this is asked again; `None` if the client has left.
    /// `ended` is when that was first found, as the end of who has sent much ahead is behind what nobody reads.
    fn left(&self, ended: &mut Option<Instant>) -> Option<Duration> {
        match self.client.ended() {
            Ended::Nothing => return Some(self.limits.gone),
            Ended::Sending => {}
            Ended::Both => return None,
        }
        let since =
            *ended.get_or_insert_with(|| self.signals.half_closed.get().unwrap_or_else(clock::instant));
        self.limits.gone.checked_sub(since.elapsed()).filter(|left| !left.is_zero())
    }
}

fn written(outcome: Result<std::io::Result<()>, TimedOut>) -> Result<(), Broken> {
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(TimedOut) => Err(Broken::ClientGone),
    }
}
