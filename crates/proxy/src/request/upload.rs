//! Phase "forward", request body: from the client to the application, never more than a buffer ahead of it.

use std::{io, time::Duration};

use tenement_runtime::clock;

use super::download::Signals;
use crate::{
    http::{Body, Chunks, Emit, Malformed, RequestHead},
    io::{Buffer, Stream, TimedOut, Watchdog},
};

/// Bodies longer than this are moved in large pieces.
pub(super) const LONG: u64 = 16 << 10;

/// How often a client that can't go on is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long a client that waits for a 100 is left to the application.
const HESITATION: Duration = Duration::from_secs(1);

/// A request body under way.
#[derive(Debug)]
pub(super) struct Upload {
    rest: Rest,
    /// More of it was passed on than what goes with the head: it can't be sent again.
    pub(super) pumped: bool,
    /// Bytes passed on.
    pub(super) bytes: u64,
}

#[derive(Debug)]
enum Rest {
    Length(u64),
    Chunked(Chunks),
}

/// Why a body was not passed on to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interrupted {
    Malformed(Malformed),
    /// The client sends nothing.
    Stalled,
    /// The client is gone.
    ClientGone,
    /// The application takes nothing more; it may have answered already.
    UpstreamGone,
}

impl Upload {
    /// Moves what is there of the body from `buffer` to `request`, behind the head.
    pub(super) fn begin(
        head: &RequestHead,
        buffer: &mut Buffer,
        request: &mut Vec<u8>,
    ) -> Result<Self, Malformed> {
        let rest = match head.body {
            Body::Chunked => Rest::Chunked(Chunks::new(Emit::Chunks, &head.trailers)),
            Body::Length(length) => Rest::Length(length),
            Body::None | Body::UntilClose => Rest::Length(0),
        };
        let mut upload = Self { rest, pumped: false, bytes: 0 };
        upload.pass(buffer, request)?;
        Ok(upload)
    }

    /// Whether all of it was passed on.
    pub(super) fn is_done(&self) -> bool {
        match &self.rest {
            Rest::Length(left) => *left == 0,
            Rest::Chunked(chunks) => chunks.is_done(),
        }
    }

    /// As [`Chunks::reopen`], if there are chunks.
    pub(super) fn reopen(&self, out: &mut Vec<u8>) {
        if let Rest::Chunked(chunks) = &self.rest {
            chunks.reopen(out);
        }
    }

    fn pass(&mut self, buffer: &mut Buffer, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let taken = match &mut self.rest {
            Rest::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                out.extend_from_slice(&buffer[..taken]);
                *left -= taken as u64;
                taken
            }
            Rest::Chunked(chunks) => chunks.pass(buffer, out)?,
        };
        buffer.consume(taken);
        self.bytes += taken as u64;
        Ok(())
    }

    fn is_long(&self) -> bool {
        match self.rest {
            Rest::Length(left) => left > LONG,
            Rest::Chunked(_) => true,
        }
    }

    /// A client that waits for a 100 before it sends its body is told to go on, if neither the application
    /// nor the client does so by itself (RFC 9110 section 10.1.1).
    pub(super) async fn invite(
        client: &Stream,
        buffer: &mut Buffer,
        signals: &Signals,
    ) -> Result<(), Interrupted> {
        if !buffer.is_empty() {
            return Ok(());
        }
        match Watchdog::new(HESITATION).guard(buffer.fill(client, false)).await {
            Ok(Ok(1..)) => Ok(()),
            Ok(_) => Err(Interrupted::ClientGone),
            Err(TimedOut) if signals.begun.get() || signals.continued.get() => Ok(()),
            Err(TimedOut) => {
                let invitation = client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
                signals.continued.set(true);
                invitation.await.map_err(|_| Interrupted::ClientGone)
            }
        }
    }

    /// Passes on the rest as it comes.
    pub(super) async fn pump(
        &mut self,
        client: &Stream,
        buffer: &mut Buffer,
        upstream: &Stream,
        stall: Duration,
        signals: &Signals,
    ) -> Result<(), Interrupted> {
        let mut watchdog = Watchdog::new(stall);
        let mut piece = Vec::new();
        while !self.is_done() {
            if buffer.is_empty() {
                match watchdog.within(stall, buffer.fill(client, self.is_long())).await {
                    Ok(Ok(1..)) => {}
                    Ok(_) => return Err(Interrupted::ClientGone),
                    Err(TimedOut) => return Err(Interrupted::Stalled),
                }
            }
            self.pumped = true;
            piece.clear();
            self.pass(buffer, &mut piece).map_err(Interrupted::Malformed)?;
            self.give(&piece, client, buffer.len(), upstream, signals).await?;
        }
        Ok(())
    }

    /// Gives a piece to the application. One that takes its time holds the client back and nobody else; but a client
    /// that leaves meanwhile is noticed, although nothing is read from it.
    async fn give(
        &self,
        mut piece: &[u8],
        client: &Stream,
        ahead: usize,
        upstream: &Stream,
        signals: &Signals,
    ) -> Result<(), Interrupted> {
        let missing = match self.rest {
            Rest::Length(left) => left.saturating_sub(ahead as u64),
            Rest::Chunked(_) => 0,
        };
        while !piece.is_empty() {
            match upstream.try_write(piece) {
                Ok(written) => {
                    piece = &piece[written..];
                    signals.progress.set(Some(clock::instant()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    signals.blocked.set(Some(upstream.unsent().unwrap_or(0)));
                    let room = loop {
                        match tokio::time::timeout(LOOK, upstream.writable()).await {
                            Ok(room) => break room,
                            Err(_) if client.falls_short(missing) => return Err(Interrupted::ClientGone),
                            Err(_) => {}
                        }
                    };
                    signals.blocked.set(None);
                    room.map_err(|_| Interrupted::UpstreamGone)?;
                }
                Err(_) => return Err(Interrupted::UpstreamGone),
            }
        }
        Ok(())
    }
}
