//! The daemon: what `ten serve` puts together.
//!
//! ```text
//!   data directory, locked ─► store, logs, host ─► sockets bound ─► supervisor ─► API ─► proxy ─► ready
//!                                                                                                  │
//!   exit 0 ◄─ everything gone ◄─ instances ended ◄─ requests drained ◄─────────── SIGTERM ─────────┘
//! ```
//!
//! Whatever can fail is tried before the first instance is started, so a refused start leaves nothing behind.

mod admin;
mod backend;
mod chores;
mod data_dir;
mod first_token;
mod incidents;
mod listen;
mod lock;
mod log;
mod output;
mod ready;
mod stop;

pub use data_dir::DataDirError;
pub use listen::ListenError;
pub use log::Log;

use std::{io, sync::Arc};

use arc_swap::ArcSwap;
use rustix::fs::Mode;
use tenement_core::{config::Config, layout};
use tenement_logs::LogStore;
use tenement_proxy::Bound;
use tenement_runtime::{
    clock, heap,
    keeper::{Inheritance, Link},
    limits, own,
    process::Host,
};
use tenement_supervisor::Deps;
use tokio::task::JoinSet;

use crate::{
    api::{self, About, Api},
    flags::Flags,
    history::{History, HistoryError},
    panics,
    retention::{self, Retention},
    runs::{RunStore, RunsError},
    sinks::{PlacesError, Sinks},
    store::{Store, StoreError},
};

/// Why the daemon did not start, or did not end well. One line that names the thing and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The data directory can't be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// An address can't be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The state can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The history can't be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// How far log sinks have come can't be read.
    #[error(transparent)]
    Sinks(#[from] PlacesError),
    /// What was running is not known.
    #[error(transparent)]
    Runs(#[from] RunsError),
    /// Next to nothing can be opened.
    #[error(
        "the limit of {0} open files is too low to serve: raise it (ulimit -n, LimitNOFILE=) to 1024 or more"
    )]
    Files(u64),
    /// Something of the system failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// Makes an [`io::Error`] say what was tried.
fn tried(what: &'static str) -> impl FnOnce(io::Error) -> DaemonError {
    move |source| DaemonError::System { what, source }
}

/// Open files without which a daemon could not even serve its API.
const FILES_MIN: u64 = 128;

fn enough_descriptors(limit: u64) -> Result<(), DaemonError> {
    match limit < FILES_MIN {
        true => Err(DaemonError::Files(limit)),
        false => Ok(()),
    }
}

/// Runs the daemon until a signal ends it. `flags`: what is over the file, in `config` already. `token`: the
/// administrator's choice of a first token. `kept`: what a daemon before this one left with the keeper.
///
/// # Errors
/// It did not start; nothing is left running then.
pub fn run(
    config: Config,
    flags: Flags,
    token: Option<&str>,
    keeper: Link,
    mut kept: Inheritance,
) -> Result<(), DaemonError> {
    let _ = own::started();
    panics::watch();
    heap::few_arenas();
    enough_descriptors(limits::raise_nofile())?;
    keep_private();
    let config = Arc::new(config);
    let dir = data_dir::open(&config.settings.data_dir, &keeper)?;
    let host = Arc::new(Host::detect(dir.path()).map_err(tried("can't run processes here"))?);
    let store = Arc::new(Store::open(&dir.path().join(layout::STATE)).map_err(dir.state())?);
    let records = store.records().map_err(dir.state())?;
    let (observer, incidents) = incidents::channel();
    let logs = LogStore::open_observed(dir.path().join(layout::LOGS), retention::limits(&config), observer)
        .map_err(dir.failed("can't open the logs in"))?;
    let history = Arc::new(History::open(&dir.path().join(layout::HISTORY), logs.clone())?);
    let sinks = Arc::new(Sinks::open(&dir.path().join(layout::SINKS), &config, dir.path(), &logs)?);
    let bound = listen::bind(&config, &keeper, &mut kept)?;
    let admin = admin::bind(dir.path(), &keeper, &mut kept)
        .map_err(dir.failed("can't make the administration socket in"))?;
    let token = first_token::settle(&store, &dir, token)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(tried("can't start threads"))?;
    let runs = Arc::new(RunStore::open(&dir.path().join(layout::RUNS), host.boot_id())?);
    let remembered =
        runs.remembered().map_err(|error| tried("can't read what is running")(io::Error::other(error)))?;
    let output =
        Arc::new(output::Pipes::new(dir.path(), logs.clone(), Arc::clone(&sinks), keeper.clone(), &mut kept));
    let deps = Deps {
        output: Arc::clone(&output) as Arc<_>,
        runs: Arc::clone(&runs) as Arc<_>,
        config: Arc::clone(&config),
        host: Arc::clone(&host),
        registry: Arc::clone(&store) as Arc<_>,
        observer: Arc::clone(&history) as Arc<_>,
        base_env: base_env(),
    };
    let about = About {
        data_dir: dir.path().to_owned(),
        host: host.capabilities(),
        config: Arc::new(ArcSwap::new(Arc::clone(&config))),
        flags,
        started: clock::instant(),
    };
    tracing::info!(data_dir = %dir.path().display(), host = %about.host, "starting");
    let done = runtime.block_on(async {
        let survivors = tenement_supervisor::recover(&host, &*output, remembered).await;
        let survivors = survivors.map_err(tried("can't end what a start that was cut short has left"))?;
        let supervisor = tenement_supervisor::start(deps, records, survivors);
        let api = Api {
            supervisor,
            retention: Arc::new(Retention::new(logs.clone(), Arc::clone(&about.config), keeper.clone())),
            logs,
            store,
            samples: Arc::default(),
            limits: Arc::default(),
            history,
            repeated: Arc::default(),
            changes: Arc::default(),
            sinks,
            draining: Arc::default(),
            about: Arc::new(about),
        };
        let recording = incidents.record(api.supervisor.clone(), Arc::clone(&api.history));
        tokio::runtime::Handle::current().spawn(recording);
        serve(api, Arc::clone(&runs), &host, Door { bound, admin, keeper }, &config, token).await
    });
    // Whatever still runs there waits for a client that nobody serves any more.
    runtime.shutdown_background();
    if let Ok(stop::End::Whole) = done {
        runs.clear();
    }
    host.remove_groups();
    done.map(drop)
}

/// Where others come in, and who keeps that open.
struct Door {
    bound: Bound,
    admin: admin::Admin,
    keeper: Link,
}

async fn serve(
    api: Api,
    runs: Arc<RunStore>,
    host: &Host,
    Door { bound, admin, keeper }: Door,
    config: &Config,
    token: Option<String>,
) -> Result<stop::End, DaemonError> {
    let signals = stop::Signals::new().map_err(tried("can't watch signals"))?;
    let _chores = chores::begin(Arc::clone(&api.store), runs, Arc::clone(api.supervisor.routes()));
    let sinks = api.sinks.begin(&api.logs);
    let router = api::router(api.clone());
    let _admin = admin.serve(router.clone()).map_err(tried("can't serve the administration socket"))?;
    let mut background = JoinSet::new();
    background.spawn(api::sample(api.clone()));
    let backend = backend::Daemon::new(api.supervisor.clone(), router, api.draining.subscribe());
    let addresses = bound.local_addrs().to_vec();
    let running = bound.serve(Arc::new(backend)).map_err(tried("can't start the proxy"))?;
    // First, so that whoever reads of it and kills this process finds it started again.
    keeper.ready();
    ready::tell(&addresses, config, token.as_deref());
    let how = stop::when_told(signals, &api, running, &keeper).await;
    sinks.end().await;
    if how == stop::End::Whole {
        host.end_strays().await.map_err(tried("can't end what instances left behind"))?;
    }
    Ok(how)
}

/// Whatever this process creates is for its user alone: the state holds tenants' secrets, and the data directory
/// may have been made by somebody who let everybody in. Instances get a mask of their own.
fn keep_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// What of the daemon's own environment instances get.
fn base_env() -> Vec<(String, String)> {
    ["PATH", "HOME", "LANG", "TZ"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), std::env::var(key).ok()?)))
        .collect()
}
