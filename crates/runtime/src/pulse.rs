//! Pauses finer than the runtime's timers, whose grain is 1 ms: timerfd_create(2).

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::{Interest, unix::AsyncFd};

use crate::event;

/// One timer, for one pause at a time.
#[derive(Debug)]
pub(crate) struct Pulse(Option<AsyncFd<OwnedFd>>);

impl Pulse {
    /// Must run on a runtime with I/O. Without a descriptor for it the pauses are the runtime's.
    pub(crate) fn new() -> Self {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(io::Error::from);
        let timer = timer.and_then(|timer| event::watch(timer, Interest::READABLE));
        Self(timer.inspect_err(|error| tracing::debug!(%error, "no timerfd, coarser pauses instead")).ok())
    }

    /// Returns after `pause`, which is not zero. Dropping what is returned takes nothing back: the next pause does.
    pub(crate) async fn pause(&self, pause: Duration) {
        match &self.0 {
            Some(timer) if expired(timer, pause).await.is_ok() => {}
            _ => tokio::time::sleep(pause).await,
        }
    }
}

async fn expired(timer: &AsyncFd<OwnedFd>, pause: Duration) -> io::Result<()> {
    let once = Itimerspec {
        it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: Timespec { tv_sec: pause.as_secs().cast_signed(), tv_nsec: pause.subsec_nanos().into() },
    };
    timerfd_settime(timer.get_ref(), TimerfdTimerFlags::empty(), &once)?;
    loop {
        let mut ready = timer.readable().await?;
        ready.clear_ready();
        // A pause that was given up may have left its mark: only a count says that this one is over.
        if rustix::io::read(timer.get_ref(), &mut [0_u8; 8]).is_ok() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[tokio::test]
    async fn a_pause_that_was_given_up_does_not_end_the_next_one() {
        let pulse = Pulse::new();
        pulse.pause(Duration::from_micros(50)).await;
        {
            let mut given_up = std::pin::pin!(pulse.pause(Duration::from_micros(1)));
            std::future::poll_fn(|context| {
                let _ = given_up.as_mut().poll(context);
                std::task::Poll::Ready(())
            })
            .await;
        }
        let before = clock::now();
        pulse.pause(Duration::from_millis(20)).await;
        assert!(clock::now().since(before) >= Duration::from_millis(19));
    }
}
