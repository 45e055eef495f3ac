//! The orderly end.
//!
//! ```text
//!   SIGTERM, SIGINT ─► no new connections, requests finish ─► every instance: SIGTERM, grace, kill ─► end
//!                           └── a second signal: at once ──────────┴── a second signal: no grace
//! ```

use std::{io, pin::pin, sync::atomic::Ordering, time::Duration};

use tenement_proxy::Running;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::api::Api;

/// The signals the daemon listens to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one that asks for the end.
    async fn end(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    tracing::warn!("SIGHUP: the configuration is read at start only; restart to apply changes");
                }
            }
        }
    }
}

/// Waits for a signal and ends everything. `grace` is what requests in flight get.
pub(super) async fn when_told(mut signals: Signals, api: &Api, running: Running, grace: Duration) {
    signals.end().await;
    tracing::info!("ending: requests in flight have {} s", grace.as_secs());
    api.draining.store(true, Ordering::Relaxed);
    let hurried = tokio::select! {
        () = running.drain(grace) => false,
        () = signals.end() => true,
    };
    if hurried {
        api.supervisor.hurry();
    }
    let mut shutdown = pin!(api.supervisor.shutdown());
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            () = signals.end() => api.supervisor.hurry(),
        }
    }
}
