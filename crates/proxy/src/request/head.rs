//! Phase "head": waits for a request and parses it.

use super::{Client, Phase, answer::Answer};
use crate::{http::RequestHead, io::TimedOut};

/// What came.
pub(super) enum Read {
    Request(RequestHead),
    /// Not a request we serve.
    Refused(Answer),
    /// The client left, or has been silent for too long.
    Ended,
}

pub(super) async fn read(client: &mut Client) -> Read {
    let thread = std::rc::Rc::clone(&client.thread);
    let limits = &thread.config.limits;
    if client.buffer.is_empty() {
        if (thread.is_draining() && !client.late) || client.ended {
            return Read::Ended;
        }
        client.phase.set(Phase::Idle);
        let first = client.watchdog.within(limits.idle, client.buffer.fill(&client.stream, false)).await;
        client.phase.set(Phase::Busy);
        if !matches!(first, Ok(Ok(1..))) {
            return Read::Ended;
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
        match client.watchdog.guard(client.buffer.fill(&client.stream, false)).await {
            Ok(Ok(1..)) => {}
            Ok(_) => return Read::Ended,
            Err(TimedOut) => return refused(client, Answer::new(408, "the request head took too long")),
        }
    }
}

fn refused(client: &Client, answer: Answer) -> Read {
    Read::Refused(answer.fit(&client.buffer, &client.thread.backend.routes().load()))
}
