//! What a daemon stands on: the data directory, and all that is kept there.

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
};

use arc_swap::ArcSwap;
use tenement_core::{config::Config, layout, time::WallMillis};
use tenement_logs::LogStore;
use tenement_runtime::{
    clock,
    keeper::Link,
    process::{Host, forget_exits},
};
use tenement_supervisor::{Deps, Known, Leaving, Supervisor, finish_leaving, recover, start};

use super::{
    DaemonError,
    data_dir::{self, DataDir},
    incidents::{self, Incidents},
    output::Pipes,
    recovered, tried,
};
use crate::{
    api::{About, Api, Upgrades},
    backup,
    flags::Flags,
    history::History,
    retention::{self, Retention},
    runs::RunStore,
    samples::Rings,
    sinks::Sinks,
    store::Store,
    swap,
};

pub(super) struct Grounds {
    pub(super) dir: DataDir,
    pub(super) host: Arc<Host>,
    pub(super) store: Arc<Store>,
    pub(super) runs: Arc<RunStore>,
    pub(super) logs: LogStore,
    pub(super) sinks: Arc<Sinks>,
    pub(super) history: Arc<History>,
    pub(super) rings: Arc<Rings>,
    /// What was being deleted when a daemon ended.
    leaving: Vec<Leaving>,
    started_at: WallMillis,
}

impl Grounds {
    /// Opens everything, in an order in which what can fail without harm comes first.
    pub(super) fn open(config: &Config, keeper: &Link) -> Result<(Self, Incidents), DaemonError> {
        let started_at = clock::wall();
        let dir = data_dir::open(&config.settings.data_dir, Some(keeper))?;
        backup::tidy(dir.path()).map_err(dir.failed("can't tidy up"))?;
        swap::finish(dir.path()).map_err(dir.failed("can't finish what was begun in"))?;
        let host = Arc::new(Host::detect(dir.path()).map_err(tried("can't run processes here"))?);
        let store = Arc::new(Store::open(&dir.path().join(layout::STATE)).map_err(dir.state())?);
        let leaving = store.leaving().map_err(dir.state())?;
        let beside = [layout::HISTORY, layout::SINKS, layout::RUNS];
        let were_there = beside.map(|name| (name, dir.path().join(name).exists()));
        let (observer, incidents) = incidents::channel();
        let logs =
            LogStore::open_observed(dir.path().join(layout::LOGS), retention::limits(config), observer)
                .map_err(dir.failed("can't open the logs in"))?;
        let (history, no_history) = History::open_or_anew(&dir.path().join(layout::HISTORY), logs.clone())?;
        let path = dir.path().join(layout::SINKS);
        let (sinks, no_places) = Sinks::open_or_anew(&path, config, dir.path(), &logs)?;
        let (history, sinks) = (Arc::new(history), Arc::new(sinks));
        let (runs, no_runs) = RunStore::open(&dir.path().join(layout::RUNS), host.boot_id())?;
        let (runs, found) = (Arc::new(runs), [no_history, no_places, no_runs].into_iter().flatten());
        recovered::note(&store, found, &were_there).map_err(dir.state())?;
        let rings = Arc::new(Rings::new(dir.path().join(layout::SAMPLES)));
        let grounds = Self { dir, host, store, runs, logs, sinks, history, rings, leaving, started_at };
        Ok((grounds, incidents))
    }

    /// Takes on what runs, and starts what is to run. Nothing falls asleep as long as `unsure` is there.
    pub(super) async fn supervise(
        &self,
        config: &Arc<Config>,
        output: Arc<Pipes>,
        unsure: Weak<()>,
    ) -> Result<Supervisor, DaemonError> {
        let deps = Deps {
            output: Arc::clone(&output) as Arc<_>,
            runs: Arc::clone(&self.runs) as Arc<_>,
            config: Arc::clone(config),
            host: Arc::clone(&self.host),
            registry: Arc::clone(&self.store) as Arc<_>,
            observer: Arc::clone(&self.history) as Arc<_>,
            base_env: base_env(),
            unsure,
        };
        let found = self.runs.remembered()?;
        let mut remembered = found.all;
        // Who still runs is ended first, as a stop does.
        let runs = |one: &Leaving| remembered.get(&one.name).is_some_and(|known| known.run.is_some());
        let (ending, gone): (Vec<_>, Vec<_>) = self.leaving.iter().cloned().partition(runs);
        finish_leaving(&deps, &gone);
        for one in &gone {
            remembered.remove(&one.name);
        }
        let records = self.store.records().map_err(self.dir.state())?;
        recovered::tell(&self.store, &records, &*self.history);
        recovered::note_refused(&self.store, &found.refused);
        let known = Known { config, records: &records, remembered, leaving: ending };
        let survivors = recover(&self.host, &*output, &*self.runs, known).await;
        let survivors = survivors
            .map_err(|error: io::Error| tried("can't end what a start that was cut short has left")(error))?;
        Ok(start(deps, records, survivors))
    }

    /// Tells the keeper how which processes ended nobody will ask: those without a record of their run. What it is told
    /// while this daemon starts it need not tell the next one.
    pub(super) fn settle_exits(&self, keeper: &Link) {
        let Ok(found) = self.runs.remembered() else { return };
        let runs = found.all.into_values().filter_map(|remembered| remembered.run);
        let asked_for: HashSet<_> = runs.map(|run| (run.handle.pid, run.handle.start_time)).collect();
        keeper.exits_seen(&forget_exits(|pid, start_time| asked_for.contains(&(pid, start_time))));
    }

    /// The API over all of it.
    pub(super) fn api(
        &self,
        supervisor: Supervisor,
        config: Arc<Config>,
        flags: Flags,
        addresses: &[SocketAddr],
        keeper: &Link,
    ) -> Api {
        let about = About {
            data_dir: self.dir.path().to_owned(),
            addresses: addresses.to_vec(),
            host: self.host.capabilities(),
            config: Arc::new(ArcSwap::new(config)),
            flags,
            started: clock::instant(),
            started_at: self.started_at,
        };
        let retention = Retention::new(self.logs.clone(), Arc::clone(&about.config), keeper.clone());
        Api {
            supervisor,
            retention: Arc::new(retention),
            logs: self.logs.clone(),
            store: Arc::clone(&self.store),
            samples: Arc::default(),
            rings: Arc::clone(&self.rings),
            limits: Arc::default(),
            links: Arc::default(),
            history: Arc::clone(&self.history),
            repeated: Arc::default(),
            overview: Arc::default(),
            changes: Arc::default(),
            upgrades: Arc::new(Upgrades::new(keeper.clone())),
            sinks: Arc::clone(&self.sinks),
            draining: Arc::default(),
            about: Arc::new(about),
        }
    }
}

/// What of the daemon's own environment instances get.
fn base_env() -> Vec<(String, String)> {
    ["PATH", "HOME", "LANG", "TZ"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), std::env::var(key).ok()?)))
        .collect()
}
