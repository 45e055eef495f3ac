//! Phase "upgrade": after a 101 the connection is a tunnel, until both sides have ended.

use std::{cell::Cell, io, time::Duration};

use crate::io::{Buffer, Stream, TimedOut, Watchdog};

/// Passes bytes both ways. `ahead` was read from the client, `first` from the application. Returns the bytes
/// that went to the application and to the client.
pub(super) async fn tunnel(
    client: &Stream,
    ahead: &mut Buffer,
    upstream: &Stream,
    first: &mut Buffer,
    stall: Duration,
) -> (u64, u64) {
    let (up, down) = (Cell::new(0), Cell::new(0));
    // Set when one side has ended: the other one then has to end in good time.
    let ending = Cell::new(false);
    let both = async {
        let _ = tokio::join!(
            one_way(client, upstream, ahead, &up, &ending, stall),
            one_way(upstream, client, first, &down, &ending, stall),
        );
    };
    both.await;
    (up.get(), down.get())
}

async fn one_way(
    from: &Stream,
    to: &Stream,
    buffer: &mut Buffer,
    moved: &Cell<u64>,
    ending: &Cell<bool>,
    stall: Duration,
) -> io::Result<()> {
    let mut watchdog = Watchdog::new(stall);
    let outcome = loop {
        if !buffer.is_empty() {
            match watchdog.within(stall, to.write_all(buffer)).await {
                Ok(Ok(())) => moved.set(moved.get() + buffer.len() as u64),
                Ok(Err(error)) => break Err(error),
                Err(TimedOut) => break Err(io::ErrorKind::TimedOut.into()),
            }
            let count = buffer.len();
            buffer.consume(count);
        }
        watchdog.set(stall);
        match watchdog.guard(buffer.fill(from, false)).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(_)) => break Ok(()),
            Ok(Err(error)) => break Err(error),
            Err(TimedOut) if ending.get() => break Err(io::ErrorKind::TimedOut.into()),
            Err(TimedOut) => {}
        }
    };
    ending.set(true);
    to.shutdown();
    if outcome.is_err() {
        // Nothing more can be taken from the other direction either.
        from.shutdown();
    }
    outcome
}
