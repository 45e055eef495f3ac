//! Leaving everything to a successor.
//!
//! ```text
//!   HandOver ─► changes done ─► loop, sinks, logs, runs left ─► lock free ─► released
//!                                                                              │ the successor is ready
//!   exit ◄─ the last connection has ended, or had its time ◄─ connections go over to it
//! ```
//!
//! In between requests to instances that are up go on as ever; those that wait for one wait on, and go over. What is told the
//! successor meanwhile: how instances ended that are this process's children, and which are in use here, so that it does not
//! let them fall asleep. Whoever serves in its place later is told that as well, by the `way`.

use std::{collections::BTreeSet, time::Duration};

use tenement_core::{name::InstanceName, time::seconds};
use tenement_proxy::Running;
use tenement_runtime::keeper::{Link, Relay};
use tokio::{runtime::Handle, task::spawn_blocking, time::interval};

use super::{
    Grounds, Open,
    way::{self, Way},
};
use crate::api::Api;

/// What connections have that are in the midst of something.
const DRAIN: Duration = Duration::from_secs(600);
/// How often the successor is told what is in use here.
const TELL: Duration = Duration::from_millis(100);
/// What of the control plane has no end of its own goes on for so long once connections go over.
const FAREWELL: Duration = Duration::from_secs(1);
/// What requests to the local socket have.
const LOCAL: Duration = Duration::from_secs(5);

/// Sees to it that nothing changes any more, and leaves every file to who comes.
pub(super) async fn release(api: &Api, grounds: &Grounds, open: &mut Open) {
    tracing::info!("a successor is there: leaving everything to it");
    api.changes.close().await;
    api.supervisor.hand_over().await;
    if let Some(sinks) = open.sinks.take() {
        sinks.end().await;
    }
    drop(open.chores.take());
    if let Some(sampling) = open.sampling.take() {
        sampling.end().await;
    }
    open.admin.hand_over();
    let (logs, runs, store) = (api.logs.clone(), grounds.runs.clone(), api.store.clone());
    let (history, sinks) = (api.history.clone(), api.sinks.clone());
    let closed = spawn_blocking(move || {
        logs.close();
        runs.close();
        store.hand_over();
        history.hand_over();
        sinks.hand_over();
    });
    let _ = closed.await;
    // Before anybody can take over: whoever does looks there, even if this one's successor is gone by then.
    open.door = way::Door::open(grounds.dir.path())
        .inspect_err(|error| {
            tracing::warn!(%error, "if the successor is killed, its next will not know what is in use here");
        })
        .ok();
    grounds.host.hand_over();
    grounds.dir.release();
}

/// Finishes what is under way, and gives the rest to the successor; without one it is closed.
pub(super) async fn leave(
    api: &Api,
    keeper: &Link,
    relay: Option<Relay>,
    running: &mut Running,
    open: &mut Open,
) {
    tell_exits(api, keeper).await;
    let Some(relay) = relay else {
        open.refusing.send_replace(true);
        api.draining.send_replace(true);
        return running.drain(LOCAL).await;
    };
    let way = Way::over(relay);
    let predecessors = std::mem::take(&mut open.predecessors);
    for predecessor in &predecessors {
        predecessor.pass_on(std::sync::Arc::new(way.clone()));
    }
    running.hand_over(std::sync::Arc::new(way.clone()));
    tracing::info!("connections go over to the successor; what is under way has {}", seconds(DRAIN));
    let (refusing, draining) = (&open.refusing, &api.draining);
    let patience = async {
        tokio::time::sleep(FAREWELL).await;
        // Streams of the API end, and are taken up again by who reads them. What could not go over is refused.
        draining.send_replace(true);
        refusing.send_replace(true);
        tokio::time::sleep(DRAIN).await;
    };
    let handed_over = async {
        running.handed_over().await;
        // What those before this one still have goes this way too, where they have none of their own.
        for predecessor in predecessors {
            predecessor.gone().await;
        }
        // What happened here is told by nobody else.
        api.history.settled().await;
        way.emptied().await;
    };
    tokio::select! {
        () = handed_over => {}
        () = tell_in_use(api, &way) => {}
        () = way.renew(open.door.take()) => {}
        () = patience => tracing::info!("the last connections had their time"),
    }
    draining.send_replace(true);
}

/// How instances end that are this process's children, only this process is told.
async fn tell_exits(api: &Api, keeper: &Link) {
    for process in api.supervisor.processes().await {
        let keeper = keeper.clone();
        Handle::current().spawn(async move {
            let exit = process.exited().await;
            keeper.exit(process.handle(), exit.status);
        });
    }
}

/// Does not return.
async fn tell_in_use(api: &Api, way: &Way) {
    let mut ticks = interval(TELL);
    let mut before = None;
    loop {
        ticks.tick().await;
        let routes = api.supervisor.routes().load_full();
        let slots = routes.services().flat_map(|service| service.slots());
        let used: BTreeSet<InstanceName> =
            slots.filter(|slot| slot.in_flight() > 0).map(|slot| slot.name().clone()).collect();
        // Also that there is none: it is waited for.
        if before.as_ref() != Some(&used) {
            way.in_use(used.iter().cloned().collect());
            before = Some(used);
        }
    }
}
