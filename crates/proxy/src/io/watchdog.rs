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
}

fn now() -> Instant {
    Instant::from_std(tenement_runtime::clock::instant())
}
