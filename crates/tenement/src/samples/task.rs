//! When a look is taken: at the end of every interval, and once soon after the start.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use tenement_core::{name::InstanceName, time::WallMillis};
use tenement_runtime::{clock, process::Process};
use tenement_supervisor::Supervisor;
use tokio::{
    runtime::Handle,
    sync::oneshot,
    task::{JoinHandle, spawn_blocking},
    time::sleep,
};

use super::{
    Rings, lock,
    ring::{COARSE, FINE},
    round::{Moment, Round, Used},
};
use crate::store::Store;

/// After the start, so that whoever looks at a daemon that was just started sees something; not at once, as there is more
/// urgent work.
const SOON: Duration = Duration::from_secs(2);

/// Samples being taken, until this is ended or dropped.
#[derive(Debug)]
pub struct Sampling {
    stop: oneshot::Sender<()>,
    rounds: JoinHandle<()>,
}

impl Sampling {
    /// Stops; on return nothing is written any more.
    pub async fn end(self) {
        drop(self.stop);
        let _ = self.rounds.await;
    }
}

/// Begins to take samples of all instances, on the current runtime. Whose file nobody knows is removed.
#[must_use]
pub fn begin(rings: Arc<Rings>, supervisor: Supervisor, store: Arc<Store>) -> Sampling {
    let (stop, stopped) = oneshot::channel();
    let _ = rings.routes.set(Arc::clone(supervisor.routes()));
    let rounds = Handle::current().spawn(rounds(rings, supervisor, store, stopped));
    Sampling { stop, rounds }
}

async fn rounds(
    rings: Arc<Rings>,
    supervisor: Supervisor,
    store: Arc<Store>,
    mut stopped: oneshot::Receiver<()>,
) {
    let round = Arc::new(Mutex::new(Round::begin(clock::now())));
    let mut first = true;
    loop {
        let (wait, over) = next(clock::wall(), first);
        tokio::select! {
            _ = &mut stopped => return,
            () = sleep(wait) => {}
        }
        let processes = supervisor.running().await;
        let (rings, store) = (Arc::clone(&rings), Arc::clone(&store));
        aside(&round, move |round| {
            if first {
                rings.tidy(&store);
            }
            rings.round(round, over, processes);
        })
        .await;
        first = false;
    }
}

/// Does something that blocks. Should it panic, which is told of elsewhere, what it has not come to is lost, but it goes on
/// from there: begun anew, all that was ever counted would be that of one interval.
pub(super) async fn aside(round: &Arc<Mutex<Round>>, work: impl FnOnce(&mut Round) + Send + 'static) {
    let round = Arc::clone(round);
    let _ = spawn_blocking(move || work(&mut lock(&round))).await;
}

/// How long to wait for the next look, and whether an interval is over then.
fn next(now: WallMillis, first: bool) -> (Duration, bool) {
    let step = u64::from(FINE.step) * 1000;
    let left = Duration::from_millis(step - now.0 % step);
    if first && left > SOON { (SOON, false) } else { (left, true) }
}

/// The beginning of the interval that a look is for. One that is over was that a moment ago.
fn interval(now: WallMillis, over: bool) -> u32 {
    let ago = if over { u64::from(FINE.step) * 500 } else { 0 };
    FINE.start_of(seconds(WallMillis(now.0.saturating_sub(ago))))
}

fn seconds(time: WallMillis) -> u32 {
    u32::try_from(time.0 / 1000).unwrap_or(u32::MAX)
}

impl Rings {
    fn round(&self, round: &mut Round, over: bool, processes: Vec<(InstanceName, Process)>) {
        let used: Used =
            processes.into_iter().map(|(name, process)| (name, (process.pid(), process.usage()))).collect();
        let Some(routes) = self.routes.get().map(|routes| routes.load_full()) else { return };
        let moment = Moment { at: interval(clock::wall(), over), now: clock::now(), over };
        let news = round.look(moment, &routes, &used);
        self.write(moment, news);
        self.let_go(&routes);
    }

    /// Removes files of instances that nobody knows, and takes from the others what belongs into memory.
    pub(super) fn tidy(&self, store: &Store) {
        let files = self.files.all(SystemTime::UNIX_EPOCH + Duration::from_millis(clock::wall().0), RECENT);
        // Read after the files, so that who is new is among them. Those whose service is not there wait for it.
        let Ok(records) = store.records() else { return };
        let known: BTreeSet<_> = records.into_iter().map(|record| record.name).collect();
        let routes = self.routes.get().map(|routes| routes.load_full());
        for (name, is_fresh) in files {
            let is_routed = routes.as_ref().is_some_and(|routes| routes.slot(&name).is_some());
            if is_routed || known.contains(&name) {
                if is_fresh {
                    self.recall(&name, seconds(clock::wall()));
                }
            } else if self.files.read(&name).is_ok_and(|image| image.is_sound()) {
                // Nothing else: there may be what a service of this name had before it was ours.
                if let Err(error) = self.files.erase(&name) {
                    tracing::warn!(instance = %name, %error, "samples of an instance that is not known can't be removed");
                }
            }
        }
    }

    /// What an earlier daemon measured within the last minutes.
    pub(super) fn recall(&self, name: &InstanceName, now: u32) {
        let Ok(image) = self.files.read(name) else { return };
        let samples = FINE.last(super::spark::COUNT, now).filter_map(|at| image.fine(at));
        let mut all = lock(&self.recent);
        let recent = all.entry(name.clone()).or_default();
        for sample in samples {
            recent.spark.set(sample.at, sample.requests_per_second() as f32);
        }
    }
}

/// As far back as memory goes.
const RECENT: Duration = Duration::from_secs(COARSE.step as u64);
