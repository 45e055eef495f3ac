//! Phase "upgrade": after a 101 the connection is a tunnel, until both sides have ended.

use std::{
    cell::Cell,
    pin::pin,
    time::{Duration, Instant},
};

use tenement_runtime::clock;

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
    // When one side ended: the other one then has to end in good time.
    let ending = Cell::new(None);
    tokio::join!(
        one_way(client, upstream, ahead, &up, &ending, stall),
        one_way(upstream, client, first, &down, &ending, stall),
    );
    (up.get(), down.get())
}

/// An error ends this direction only: what an application has said before it left still has to arrive, also when it
/// takes nothing any more.
async fn one_way(
    from: &Stream,
    to: &Stream,
    buffer: &mut Buffer,
    moved: &Cell<u64>,
    ending: &Cell<Option<Instant>>,
    stall: Duration,
) {
    let mut watchdog = Watchdog::new(stall);
    loop {
        if !buffer.is_empty() {
            // Who does not read holds back who writes, for as long as both sides are open.
            match patiently(&mut watchdog, ending, stall, to.write_all(buffer)).await {
                Ok(Ok(())) => moved.set(moved.get() + buffer.len() as u64),
                Ok(Err(_)) | Err(TimedOut) => break,
            }
            let count = buffer.len();
            buffer.consume(count);
        }
        match patiently(&mut watchdog, ending, stall, buffer.fill(from, false)).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(_) | Err(_)) | Err(TimedOut) => break,
        }
    }
    if ending.get().is_none() {
        ending.set(Some(clock::instant()));
    }
    to.shutdown();
}

/// Waits without limit while both sides are open, and for `stall` from the end of one of them on.
async fn patiently<T>(
    watchdog: &mut Watchdog,
    ending: &Cell<Option<Instant>>,
    stall: Duration,
    future: impl Future<Output = T>,
) -> Result<T, TimedOut> {
    let mut future = pin!(future);
    loop {
        let since = ending.get().map_or(Duration::ZERO, |at| at.elapsed());
        let left = stall.checked_sub(since).filter(|left| !left.is_zero());
        watchdog.set(left.ok_or(TimedOut)?);
        if let Ok(done) = watchdog.guard(future.as_mut()).await {
            return Ok(done);
        }
    }
}
