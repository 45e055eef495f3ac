//! Phase "head": waits for a request and parses it.

use std::{io, pin::pin};

use super::{Client, answer::Answer};
use crate::{handover::Phase, http::RequestHead, io::TimedOut};

/// What came.
pub(super) enum Read {
    Request(RequestHead),
    /// Not a request we serve.
    Refused(Answer),
    /// The client left, or has been silent for too long.
    Ended,
    /// Somebody else is to wait for it.
    Left,
}

pub(super) async fn read(client: &mut Client) -> Read {
    let thread = std::rc::Rc::clone(&client.thread);
    let limits = &thread.config.limits;
    // Also if a whole head is there: it came while the last request was answered.
    if thread.is_leaving() {
        return Read::Left;
    }
    if client.buffer.is_empty() {
        if (thread.is_draining() && !client.late) || client.ended {
            return Read::Ended;
        }
        client.tether.phase.set(Phase::Idle);
        client.watchdog.set(limits.idle);
        let first = more(client).await;
        client.tether.phase.set(Phase::Busy);
        match first {
            Ok(Some(Ok(1..))) => {}
            Ok(None) => return Read::Left,
            _ => return Read::Ended,
        }
    }
    let (mut timed, mut seen) = (false, 0);
    loop {
        match RequestHead::parse(&client.buffer, &mut seen, &client.peer, limits, &mut client.request) {
            Ok(Some(head)) => {
                client.buffer.consume(head.bytes);
                return Read::Request(head);
            }
            Ok(None) if client.ended || client.buffer.is_full() => return Read::Ended,
            Ok(None) => {}
            Err(malformed) => return refused(client, Answer::of(malformed)),
        }
        if !timed {
            client.watchdog.set(limits.head);
            timed = true;
        }
        match more(client).await {
            Ok(Some(Ok(1..))) => {}
            Ok(None) => return Read::Left,
            Ok(_) => return Read::Ended,
            Err(TimedOut) => return refused(client, Answer::new(408, "the request head took too long")),
        }
    }
}

/// Waits for bytes until the watchdog's deadline; `None` if somebody else is to wait for them.
async fn more(client: &mut Client) -> Result<Option<io::Result<usize>>, TimedOut> {
    let Client { thread, stream, buffer, tether, watchdog, .. } = client;
    let filling = pin!(buffer.fill(stream, false));
    watchdog.guard(tether.unless_moved(|| thread.is_leaving(), filling)).await
}

fn refused(client: &Client, answer: Answer) -> Read {
    Read::Refused(answer.fit(&client.buffer, &client.thread.backend.routes().load()))
}
