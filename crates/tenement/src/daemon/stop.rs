//! The orderly end.
//!
//! ```text
//!   SIGTERM, SIGINT, SIGQUIT ─► requests finish ─► every instance: SIGTERM, grace, kill ─► end
//!                                    └── a second signal: at once ──┴── a second signal: no grace
//!   SIGUSR2, and no keeper any more ─► requests finish, for 3 s ─► end; the instances go on
//! ```
//!
//! The second is how another daemon takes over from one whose keeper was killed.
//!
//! Until the end `/health` says that it comes, and new requests for tenants are answered with 503.

use std::{future::ready, io, pin::pin, time::Duration};

use tenement_core::time::seconds;
use tenement_proxy::Running;
use tenement_runtime::keeper::{Link, Order};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc::UnboundedReceiver,
};

use super::{Grounds, Open, handover};
use crate::api::Api;

/// What requests in flight have when another daemon is to take over, which does not wait for long.
const LEAVING: Duration = Duration::from_secs(3);

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
        while self.next(None).await != End::Whole {}
    }

    /// Waits for one that asks for the end, or to leave when there is no keeper.
    async fn next(&mut self, keeper: Option<&Link>) -> End {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return End::Whole,
                _ = self.interrupt.recv() => return End::Whole,
                _ = self.quit.recv() => return End::Whole,
                _ = self.hangup.recv() => {
                    tracing::warn!("SIGHUP means nothing here: 'ten reload' takes the configuration anew");
                }
                _ = self.alarm.recv() => ignored("SIGALRM"),
                _ = self.user_1.recv() => ignored("SIGUSR1"),
                _ = self.user_2.recv() => match keeper {
                    Some(keeper) if !keeper.is_kept() => return End::Left,
                    _ => ignored("SIGUSR2"),
                },
            }
        }
    }
}

/// How the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With everything it runs.
    Whole,
    /// Its instances go on, for another daemon.
    Left,
}

fn ignored(signal: &str) {
    tracing::warn!("{signal} means nothing here");
}

/// Waits for a signal and ends everything; or leaves, to another daemon. Requests that wait for an instance are
/// answered; those in flight get `stop_timeout`.
pub(super) async fn when_told(
    mut signals: Signals,
    api: &Api,
    grounds: &Grounds,
    mut running: Running,
    keeper: &Link,
    open: &mut Open,
) -> End {
    let mut orders = keeper.orders();
    let mut released = false;
    let next = loop {
        tokio::select! {
            // What runs is somebody else's to end.
            next = signals.next(Some(keeper)) => break if released { End::Left } else { next },
            order = next_of(&mut orders) => match order {
                Order::HandOver => {
                    handover::release(api, grounds, open).await;
                    released = true;
                    keeper.released();
                }
                Order::NotUpgraded(why) => api.upgrades.over(Err(why)),
                Order::Gone => {
                    api.upgrades.over(Err("the keeper is gone: start 'ten serve' again".to_owned()));
                    if released {
                        // The successor did not hear of it. What this one has let go it can't take back.
                        tracing::error!("ending, as the state was let go already: start 'ten serve' again");
                        break End::Left;
                    }
                }
                Order::Leave { relay, outcome } => {
                    api.upgrades.over(outcome);
                    tokio::select! {
                        () = handover::leave(api, keeper, relay, &mut running, open) => {}
                        () = signals.end() => {}
                    }
                    running.cut().await;
                    running.close();
                    return End::Left;
                }
            },
        }
    };
    api.upgrades.over(Err("the daemon is ending".to_owned()));
    let grace = api.about.config.load().settings.stop_timeout;
    if next == End::Left {
        leave(api, running, open, grace.min(LEAVING)).await;
        return End::Left;
    }
    keeper.ending();
    tracing::info!("ending: requests in flight have {}", seconds(grace));
    api.draining.send_replace(true);
    open.refusing.send_replace(true);
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
    End::Whole
}

/// Without a keeper nothing is ordered.
async fn next_of(orders: &mut Option<UnboundedReceiver<Order>>) -> Order {
    if let Some(all) = orders
        && let Some(order) = all.recv().await
    {
        return order;
    }
    std::future::pending().await
}

/// Another daemon waits for the place of this one.
async fn leave(api: &Api, mut running: Running, open: &Open, grace: Duration) {
    tracing::info!("leaving to another daemon; instances go on, requests in flight have {}", seconds(grace));
    api.draining.send_replace(true);
    open.refusing.send_replace(true);
    running.drain(grace).await;
    running.close();
}
