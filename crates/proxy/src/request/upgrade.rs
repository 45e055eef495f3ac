//! Phase "upgrade": after a 101 the connection is a tunnel, until both sides have ended.
//!
//! ```text
//!   open ──► the application ends ──► close frame 1012 ──► the client ends, or its time is over ──► lingering
//!     │      └── has sent one, or is inside a frame: nothing ┘                                          ▲
//!     └────► the daemon ends ───────► close frame 1001 ─────────────────────────────────────────────────┘
//! ```
//!
//! Of a daemon that ends because another one has taken over, the code is 1012 as well: it can be connected to at once.
//!
//! An application that is gone for good, and doesn't only send nothing more, takes nothing from the client either: its
//! time is over at once.
//!
//! Only WebSockets are switched to. Their frames are followed, to know where another one can be sent; no byte waits for
//! that or is changed by it.

mod frames;

use std::{
    cell::Cell,
    pin::pin,
    time::{Duration, Instant},
};

use tenement_core::slot::Traffic;
use tenement_runtime::clock;

use tokio::{sync::Notify, time::sleep};

use super::Thread;
use crate::io::{Buffer, Ended, Stream, TimedOut, Watchdog};
use frames::{Code, Frames};

/// The two ends of a tunnel, and what was read of them before it was one.
pub(super) struct Ends<'a> {
    pub(super) client: &'a Stream,
    pub(super) ahead: &'a mut Buffer,
    pub(super) upstream: &'a Stream,
    pub(super) first: &'a mut Buffer,
}

/// Passes bytes both ways. Returns those that went to the application and to the client. What is cut off is counted in
/// `traffic`.
pub(super) async fn tunnel(thread: &Thread, ends: Ends<'_>, traffic: Option<&Traffic>) -> (u64, u64) {
    let Ends { client, ahead, upstream, first } = ends;
    let limits = &thread.config.limits;
    let ending = Ending { since: Cell::new(None), stall: limits.stall };
    let told = Notify::new();
    let (up, down) = (Way::new(client, upstream), Way::new(upstream, client));
    let to_application = async {
        up.pass(ahead, &ending).await;
        ending.begin();
        upstream.shutdown();
    };
    let to_client = async {
        down.pass(first, &ending).await;
        ending.begin();
        if is_cut_off(&up, &down) {
            if let Some(traffic) = traffic {
                traffic.count_cut_off();
            }
            let code = if thread.is_draining() { Code::Away } else { Code::Restart };
            down.say_goodbye(code, &ending).await;
        }
        client.shutdown();
        told.notify_one();
    };
    let out_of_time = async {
        told.notified().await;
        if upstream.ended() != Ended::Both {
            sleep(limits.gone).await;
        }
    };
    tokio::select! {
        biased;
        _ = async { tokio::join!(to_application, to_client) } => {}
        () = out_of_time => {}
        () = thread.cut_off() => {
            // Whoever takes over is there already.
            let code = if thread.is_leaving() { Code::Restart } else { Code::Away };
            down.say_goodbye_at_once(code);
        }
    }
    (up.moved.get(), down.moved.get())
}

/// Whether the application ended the connection, and neither side had said that it would.
fn is_cut_off(up: &Way<'_>, down: &Way<'_>) -> bool {
    let said = down.frames.get();
    down.ended.get()
        && !up.ended.get()
        && !up.frames.get().is_closing()
        && !said.is_closing()
        && !said.is_lost()
}

/// When one side ended: the other one then has to end in good time.
struct Ending {
    since: Cell<Option<Instant>>,
    stall: Duration,
}

impl Ending {
    fn begin(&self) {
        if self.since.get().is_none() {
            self.since.set(Some(clock::instant()));
        }
    }
}

/// One direction of a tunnel.
struct Way<'a> {
    from: &'a Stream,
    to: &'a Stream,
    moved: Cell<u64>,
    /// Of what was sent.
    frames: Cell<Frames>,
    /// `from` sends nothing more.
    ended: Cell<bool>,
}

impl<'a> Way<'a> {
    fn new(from: &'a Stream, to: &'a Stream) -> Self {
        Self { from, to, moved: Cell::new(0), frames: Cell::default(), ended: Cell::new(false) }
    }

    /// An error ends this direction only: what an application has said before it left still has to arrive, also when
    /// it takes nothing any more.
    async fn pass(&self, buffer: &mut Buffer, ending: &Ending) {
        let mut watchdog = Watchdog::new(ending.stall);
        loop {
            while !buffer.is_empty() {
                // Who does not read holds back who writes, for as long as both sides are open.
                match self.patiently(&mut watchdog, ending, self.to.write_some(buffer)).await {
                    Ok(Ok(count @ 1..)) => {
                        self.note(&buffer[..count]);
                        buffer.consume(count);
                    }
                    Ok(Ok(_) | Err(_)) | Err(TimedOut) => return,
                }
            }
            match self.patiently(&mut watchdog, ending, buffer.fill(self.from, false)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(_) | Err(_)) => return self.ended.set(true),
                Err(TimedOut) => return,
            }
        }
    }

    /// Something was sent. Known at any moment, as a tunnel can be cut off at any moment.
    fn note(&self, sent: &[u8]) {
        self.moved.set(self.moved.get() + sent.len() as u64);
        let mut frames = self.frames.get();
        frames.follow(sent);
        self.frames.set(frames);
    }

    /// Sends a close frame, unless another frame has not been sent to its end.
    async fn say_goodbye(&self, code: Code, ending: &Ending) {
        if !self.frames.get().takes_another() {
            return;
        }
        let mut watchdog = Watchdog::new(ending.stall);
        let (frame, mut sent) = (code.frame(), 0);
        while sent < frame.len() {
            match self.patiently(&mut watchdog, ending, self.to.write_some(&frame[sent..])).await {
                Ok(Ok(count @ 1..)) => {
                    self.note(&frame[sent..sent + count]);
                    sent += count;
                }
                _ => return,
            }
        }
    }

    /// As [`Self::say_goodbye`], if that goes without waiting.
    fn say_goodbye_at_once(&self, code: Code) {
        if self.frames.get().takes_another() {
            // Who has much to read still will see the end, if not why.
            let _ = self.to.try_write(&code.frame());
        }
    }
    /// Waits without limit while both sides are open, and for `stall` from the end of one of them on. That end may
    /// be behind what nobody takes; then for as long as something is taken.
    async fn patiently<T>(
        &self,
        watchdog: &mut Watchdog,
        ending: &Ending,
        future: impl Future<Output = T>,
    ) -> Result<T, TimedOut> {
        let (mut future, mut queued) = (pin!(future), None);
        loop {
            let since = ending.since.get().map_or(Duration::ZERO, |at| at.elapsed());
            let left = ending.stall.checked_sub(since).filter(|left| !left.is_zero());
            watchdog.set(left.ok_or(TimedOut)?);
            if let Ok(done) = watchdog.guard(future.as_mut()).await {
                return Ok(done);
            }
            if self.from.ended() != Ended::Nothing {
                let now = self.to.unsent();
                if now.is_none() || now == queued {
                    return Err(TimedOut);
                }
                queued = now;
            }
        }
    }
}
