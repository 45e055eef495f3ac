//! The orderly end.
//!
//! ```text
//!   SIGTERM, SIGINT, SIGQUIT ─► requests finish ─► every instance: SIGTERM, grace, kill ─► end
//!                                    └── a second signal: at once ──┴── a second signal: no grace
//! ```
//!
//! Until the end `/health` says that it comes, and new requests for tenants are answered with 503.

use std::{future::ready, io, pin::pin};

use tenement_core::time::seconds;
use tenement_proxy::Running;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::api::Api;

/// The signals that would end a process which does not listen to them, and leave its instances alone.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    alarm: Signal,
    user_1: Signal,
    user_2: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            alarm: signal(SignalKind::alarm())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for one that asks for the end.
    async fn end(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.quit.recv() => return,
                _ = self.hangup.recv() => {
                    tracing::warn!("SIGHUP means nothing here: 'ten reload' takes the configuration anew");
                }
                _ = self.alarm.recv() => ignored("SIGALRM"),
                _ = self.user_1.recv() => ignored("SIGUSR1"),
                _ = self.user_2.recv() => ignored("SIGUSR2"),
            }
        }
    }
}

fn ignored(signal: &str) {
    tracing::warn!("{signal} means nothing here");
}

/// Waits for a signal and ends everything. Requests that wait for an instance are
/// answered; those in flight get `stop_timeout`.
pub(super) async fn when_told(mut signals: Signals, api: &Api, mut running: Running) {
    signals.end().await;
    let grace = api.about.config.load().settings.stop_timeout;
    tracing::info!("ending: requests in flight have {}", seconds(grace));
    api.draining.send_replace(true);
    let mut hurried = tokio::select! {
        () = running.drain(grace) => false,
        () = signals.end() => true,
    };
    if hurried {
        running.cut().await;
    }
    let mut shutdown = pin!(api.supervisor.shutdown());
    loop {
        tokio::select! {
            // In this order: only what was told to end can be hurried.
            biased;
            () = &mut shutdown => break,
            () = ready(()), if hurried => {
                hurried = false;
                api.supervisor.hurry();
            }
            () = signals.end() => hurried = true,
        }
    }
    running.close();
}
