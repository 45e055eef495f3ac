//! The task that keeps the live table while somebody reads it.
//!
//! ```text
//!   the supervisor: these changed ──┐
//!                                   ├─► rows that differ get a new version ─► readers are rung ─► PAUSE
//!   every FIGURES: slots, rings ────┘
//! ```

use std::{collections::HashMap, sync::Arc, time::Duration};

use tenement_core::{
    name::InstanceName,
    slot::{Slot, StatusClass},
    view::Woken,
};
use tenement_runtime::{
    clock,
    machine::{self, Disk},
};
use tenement_supervisor::Watch;
use tokio::{
    sync::watch,
    task::{JoinError, spawn_blocking, yield_now},
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    board::PAGE,
    live::Table,
    machine::{Machine, Sums},
    measured::{latest, pace},
    pace::Totals,
    part::Part,
    row::{Line, Now},
};
use crate::{api::Api, history::HistoryError};

/// Between two looks at what is counted.
const FIGURES: Duration = Duration::from_secs(2);
/// Between two times that readers are rung: with it they are told of a change as soon as people notice.
const PAUSE: Duration = Duration::from_millis(200);
/// How long the table waits for what the disk has.
const PATIENCE: Duration = Duration::from_secs(1);

/// Fills `table` and keeps it, ringing whenever something in it changed. Ends with the supervisor, or when it is aborted.
pub(super) async fn produce(api: Api, table: Arc<Table>, bell: watch::Sender<()>) {
    let known = api.overview.wakes.get_or_try_init(|| wakes(&api)).await;
    let none = HashMap::new();
    let wakes = known.unwrap_or_else(|error| {
        // What is not known is not shown; whoever reads the next table may have more luck.
        tracing::warn!(%error, "when instances were woken before this daemon can't be read");
        &none
    });
    let Some((views, watch)) = api.supervisor.watch().await else { return };
    let now = now();
    for some in views.chunks(PAGE) {
        let lines = some.iter().map(|view| {
            let known = wakes.get(&view.name).copied();
            Line::new(now, view, None, known).at_pace(pace(&api, &view.name, now.clock))
        });
        table.fill(some.iter().map(|view| view.name.clone()).zip(lines));
        yield_now().await;
    }
    let mut ticks = interval(FIGURES);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                figures(&api, &table).await;
                machine(&api, &table).await;
            }
            () = watch.changed() => {}
        }
        // Whatever woke it: what changed is not to wait for another pause.
        if !changes(&table, &watch, wakes).await {
            return;
        }
        bell.send_replace(());
        sleep(PAUSE).await;
    }
}

fn now() -> Now {
    Now { clock: clock::now(), wall: clock::wall() }
}

async fn wakes(api: &Api) -> Result<HashMap<InstanceName, Woken>, ReadError> {
    let history = Arc::clone(&api.history);
    Ok(spawn_blocking(move || history.wakes()).await??)
}

/// Why what was written down is not known.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum ReadError {
    History(#[from] HistoryError),
    Panic(#[from] JoinError),
}

/// Takes what the supervisor says has changed. Whether there still is one.
async fn changes(table: &Table, watch: &Watch, wakes: &HashMap<InstanceName, Woken>) -> bool {
    let Some(changed) = watch.take().await else { return false };
    let now = now();
    let board = &mut table.lock().board;
    for (name, view) in changed {
        match view {
            Some(view) => {
                let line = Line::new(now, &view, board.get(&name), wakes.get(&name).copied());
                board.put(name, line);
            }
            None => board.remove(&name),
        }
    }
    true
}

/// Looks at what is counted and measured of every row, some at a time: others are to be served meanwhile.
async fn figures(api: &Api, table: &Table) {
    let mut last = None;
    loop {
        let (routes, now) = (api.supervisor.routes().load_full(), clock::now());
        last = table.lock().board.edit(last.as_ref(), |name, line| {
            // One that goes has none any more, and keeps its figures until then.
            let slot = routes.slot(name);
            slot.is_some_and(|slot| line.figures(now, totals(slot), latest(api, name, line.since())))
        });
        if last.is_none() {
            return;
        }
        yield_now().await;
    }
}

fn totals(slot: &Slot) -> Totals {
    Totals { requests: slot.traffic.requests(), errors: slot.traffic.responses(StatusClass::ServerError) }
}

/// What the disk of the data directory has, which one that hangs never says.
async fn disk(api: &Api) -> Option<Disk> {
    let (held, data_dir) = (Arc::clone(&api.overview.disk).lock_owned().await, api.about.data_dir.clone());
    let looked = spawn_blocking(move || {
        let _held = held;
        machine::disk(&data_dir).ok()
    });
    looked.await.ok()?
}

async fn machine(api: &Api, table: &Table) {
    let disk = timeout(PATIENCE, disk(api)).await.ok().flatten();
    let sums = Sums::of(table.lock().board.rows(&Part::ALL).map(|(_, line)| line));
    let (overview, uptime) = (Arc::clone(&api.overview), api.about.started.elapsed());
    let looked = spawn_blocking(move || {
        let mut looks = overview.looks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        looks.look(disk, uptime, &sums)
    });
    let host = looked.await.ok();
    let mut state = table.lock();
    state.machine = Some(Machine { host, sums });
    state.looked += 1;
}
