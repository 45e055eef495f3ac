//! One timer per connection for all its time limits.
//!
//! A limit usually ends long before its time. So setting one only notes the new deadline; the runtime's timer
//! is touched when the new deadline is the earlier one, or when it fires too early and is set anew.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::Stream;

/// How often within its limit a write is looked at.
const LOOKS: u32 = 8;

/// A time limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimedOut;

/// See the module.
#[derive(Debug)]
pub(crate) struct Watchdog {
    sleep: Pin<Box<Sleep>>,
    deadline: Instant,
}

impl Watchdog {
    /// A watchdog whose first limit will be about `limit`.
    pub(crate) fn new(limit: Duration) -> Self {
        let deadline = now() + limit;
        Self { sleep: Box::pin(sleep_until(deadline)), deadline }
    }

    /// Sets the deadline for following calls of [`Self::guard`].
    pub(crate) fn set(&mut self, limit: Duration) {
        self.deadline = now() + limit;
        if self.deadline < self.sleep.deadline() {
            self.sleep.as_mut().reset(self.deadline);
        }
    }

    /// Waits for `future` until the deadline.
    pub(crate) async fn guard<T>(&mut self, future: impl Future<Output = T>) -> Result<T, TimedOut> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(done) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            while self.sleep.as_mut().poll(cx).is_ready() {
                if self.deadline <= self.sleep.deadline() {
                    return Poll::Ready(Err(TimedOut));
                }
                self.sleep.as_mut().reset(self.deadline);
            }
            Poll::Pending
        })
        .await
    }

    /// Waits for `future` for at most `limit`.
    pub(crate) async fn within<T>(
        &mut self,
        limit: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, TimedOut> {
        self.set(limit);
        self.guard(future).await
    }

    /// Waits for `future`, which writes to `to`, as long as the other side takes something within `stall`. That is
    /// not the same as a write that goes on: with much under way, the kernel reports room only after a large part of
    /// it was taken.
    pub(crate) async fn sending<T>(
        &mut self,
        stall: Duration,
        to: &Stream,
        future: impl Future<Output = T>,
    ) -> Result<T, TimedOut> {
        let mut future = pin!(future);
        let (mut queued, mut quiet) = (None, 0);
        loop {
            self.set(stall / LOOKS);
            if let Ok(done) = self.guard(future.as_mut()).await {
                return Ok(done);
            }
            let now = to.unsent();
            if now.is_none() || now == queued {
                quiet += 1;
            } else {
                (queued, quiet) = (now, 0);
            }
            if quiet == LOOKS {
                return Err(TimedOut);
            }
        }
    }
}

fn now() -> Instant {
    Instant::from_std(tenement_runtime::clock::instant())
}

#[cfg(test)]
mod tests {
    use std::{io::Read, net::TcpListener};

    use super::*;

    /// A stream into which much is being written, and its other end, which has little room.
    async fn full() -> (Stream, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
        let ours = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (theirs, _) = listener.accept().unwrap();
        (Stream::Tcp(ours), theirs)
    }

    #[tokio::test]
    async fn a_reader_that_is_slow_but_steady_is_not_given_up() {
        const STALL: Duration = Duration::from_millis(400);
        const SIZE: usize = 8 << 20;
        let (stream, mut reader) = full().await;
        let reading = std::thread::spawn(move || {
            let (mut taken, mut longest) = (0, Duration::ZERO);
            // Three times as long as may pass without a byte.
            for _ in 0..60 {
                let last = now();
                std::thread::sleep(STALL / 20);
                taken += reader.read(&mut [0; 4096]).unwrap();
                longest = longest.max(last.elapsed());
            }
            (taken + std::io::copy(&mut reader, &mut std::io::sink()).unwrap() as usize, longest)
        });
        let bytes = vec![0; SIZE];
        let sent = Watchdog::new(STALL).sending(STALL, &stream, stream.write_all(&bytes)).await;
        drop(stream);
        let (taken, longest) = reading.join().unwrap();
        // Unless this machine has kept the reader from being steady.
        let is_whole = matches!(sent, Ok(Ok(()))) && taken == SIZE;
        assert!(is_whole || longest > STALL / 4, "{sent:?}: {taken} taken, {longest:?} without a look");
    }

    // faults: P9
    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_given_up() {
        const STALL: Duration = Duration::from_millis(40);
        let (stream, _reader) = full().await;
        let bytes = vec![0; 32 << 20];
        let sent = Watchdog::new(STALL).sending(STALL, &stream, stream.write_all(&bytes)).await;
        assert!(matches!(sent, Err(TimedOut)), "{sent:?}");
    }
}
