//! The daemon: what `ten serve` puts together.
//!
//! ```text
//!   data directory, locked ─► store, logs, host ─► sockets bound ─► supervisor ─► API ─► proxy ─► ready
//!                                                                                                  │
//!   exit 0 ◄─ everything gone ◄─ instances ended ◄─ requests drained ◄─────────── SIGTERM ─────────┘
//! ```
//!
//! Another daemon may follow instead: `handover` is how this one leaves, `succession` how that one takes over. Whatever can fail is tried before the first instance is started, so a refused start leaves nothing behind.

mod admin;
mod backend;
mod chores;
mod data_dir;
mod first_token;
mod grounds;
mod handover;
mod incidents;
mod listen;
mod lock;
mod log;
mod output;
mod ready;
mod recovered;
mod stop;
mod succession;
mod way;

pub use data_dir::DataDirError;
pub use listen::ListenError;
pub use log::Log;

use std::{
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Weak},
};

use arc_swap::ArcSwap;
use rustix::fs::Mode;
use tenement_core::{config::Config, layout, route::RouteTable};
use tenement_proxy::{Bound, Running};
use tenement_runtime::{
    heap,
    keeper::{Identity, Inheritance, Link, PREDECESSOR},
    limits, own,
};
use tokio::{sync::watch, task::JoinSet};

use grounds::Grounds;

use crate::{
    api::{self, Api},
    config_file,
    flags::Flags,
    history::{History, HistoryError},
    in_effect::{self, Next},
    panics,
    runs::{self, RunsError},
    samples::{self, Sampling},
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
    /// Whoever takes over takes over a data directory.
    #[error("the daemon to take over from does not use the data directory '{}': a change of data_dir takes a stop and a start", .0.display())]
    Elsewhere(PathBuf),
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

/// Looks whether a daemon with this configuration could take over the state that another one of this `keeper` works with.
/// Changes nothing.
///
/// # Errors
/// Why not.
pub fn check(config: &Config, keeper: Option<Identity>) -> Result<(), DaemonError> {
    let dir = &config.settings.data_dir;
    if keeper.is_none() || lock::keeper_of(&dir.join(layout::LOCK)) != keeper {
        return Err(DaemonError::Elsewhere(dir.clone()));
    }
    Store::check(&dir.join(layout::STATE))?;
    History::check(&dir.join(layout::HISTORY))?;
    Sinks::check(&dir.join(layout::SINKS))?;
    Ok(runs::check(&dir.join(layout::RUNS))?)
}

/// Runs the daemon until a signal ends it, or another one takes over. `flags`: what is over the file, in `config` already.
/// `next`: what becomes of the file that was read just now. `token`: the administrator's choice of a first token. `kept`: what a daemon before this one left with the keeper.
///
/// # Errors
/// It did not start; nothing is left running then.
pub fn run(
    config: Config,
    flags: Flags,
    next: Option<Next>,
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
    data_dir::is_as_it_was(&config.settings.data_dir, &mut kept)?;
    let (grounds, incidents) = Grounds::open(&config, &keeper)?;
    if let Some(path) = &config.path {
        config_file::tidy(path);
    }
    grounds.dir.hold(&keeper).map_err(grounds.dir.failed("can't hold"))?;
    let bound = listen::bind(&config, &keeper, &mut kept)?;
    let admin = admin::bind(grounds.dir.path(), &keeper, &mut kept)
        .map_err(grounds.dir.failed("can't make the administration socket in"))?;
    let token = first_token::settle(&grounds.store, &grounds.dir, token)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(tried("can't start threads"))?;
    tracing::info!(data_dir = %grounds.dir.path().display(), host = %grounds.host.capabilities(), "starting");
    let done = runtime.block_on(async {
        // Those that leave are asked what they use once this one serves; before that nothing falls asleep.
        let relay = kept.held.remove(PREDECESSOR).and_then(|held| held.into_iter().next());
        let before = Before { relay, doors: way::doors(grounds.dir.path()), unsure: Arc::new(()) };
        let output = Arc::new(output::Pipes::new(&grounds, keeper.clone(), &mut kept));
        let supervisor = grounds.supervise(&config, output, before.unsure()).await?;
        grounds.settle_exits(&keeper);
        let api = grounds.api(supervisor, config, flags, bound.local_addrs(), &keeper);
        let recording = incidents.record(api.supervisor.clone(), Arc::clone(&api.history));
        tokio::runtime::Handle::current().spawn(recording);
        serve(api, &grounds, Door { bound, admin, keeper, before, next }, token).await
    });
    // Whatever still runs there waits for a client that nobody serves any more.
    runtime.shutdown_background();
    if let Ok(stop::End::Whole) = done {
        grounds.runs.clear();
    }
    grounds.host.remove_groups();
    done.map(drop)
}

/// Where others come in, and who keeps that open.
struct Door {
    bound: Bound,
    admin: admin::Admin,
    keeper: Link,
    /// Those that leave.
    before: Before,
    /// What is to be done about the file once requests are served.
    next: Option<Next>,
}

/// Daemons of before that finish what they are about.
struct Before {
    /// The way from the one that this one follows.
    relay: Option<OwnedFd>,
    /// Where to find each.
    doors: Vec<PathBuf>,
    unsure: Arc<()>,
}

impl Before {
    /// There as long as somebody may use what is not known yet.
    fn unsure(&self) -> Weak<()> {
        match self.relay.is_some() || !self.doors.is_empty() {
            true => Arc::downgrade(&self.unsure),
            false => Weak::new(),
        }
    }

    /// Takes over from all of them.
    fn follow(self, running: &Running, routes: &Routes) -> io::Result<Vec<succession::Predecessor>> {
        let relays = self.relay.into_iter().chain(self.doors.iter().filter_map(|door| way::connect(door)));
        let begin =
            |relay| succession::begin(relay, running.taker(), Arc::clone(routes), Arc::clone(&self.unsure));
        relays.map(begin).collect()
    }
}

type Routes = Arc<ArcSwap<RouteTable>>;

/// What goes on beside the instances as long as this daemon is the one.
struct Open {
    admin: admin::Admin,
    sinks: Option<crate::sinks::Running>,
    chores: Option<chores::Chores>,
    sampling: Option<Sampling>,
    /// The daemons that this one has followed, while they have something to give.
    predecessors: Vec<succession::Predecessor>,
    /// Where this one is found when it leaves.
    door: Option<way::Door>,
    /// Set when requests that wait for an instance are to wait no longer.
    refusing: watch::Sender<bool>,
}

/// A data directory that no daemon uses as long as this lives.
#[derive(Debug)]
pub struct Claim(#[allow(dead_code)] data_dir::DataDir);

/// Claims a data directory for work without a daemon; it is made where it is missing.
///
/// # Errors
/// A daemon uses it, or it can't be used.
pub fn claim(path: &std::path::Path) -> Result<Claim, DataDirError> {
    keep_private();
    data_dir::open(path, None).map(Claim)
}

async fn serve(
    api: Api,
    grounds: &Grounds,
    Door { bound, admin, keeper, before, next }: Door,
    token: Option<String>,
) -> Result<stop::End, DaemonError> {
    let signals = stop::Signals::new().map_err(tried("can't watch signals"))?;
    let routes = Arc::clone(api.supervisor.routes());
    let router = api::router(api.clone());
    let mut open = Open {
        predecessors: Vec::new(),
        door: None,
        admin: admin.serve(router.clone()).map_err(tried("can't serve the administration socket"))?,
        sinks: Some(api.sinks.begin(&api.logs)),
        chores: Some(chores::begin(
            Arc::clone(&api.store),
            Arc::clone(&api.sinks),
            Arc::clone(&grounds.runs),
            Arc::clone(&routes),
        )),
        sampling: Some(samples::begin(
            Arc::clone(&api.rings),
            api.supervisor.clone(),
            Arc::clone(&api.store),
        )),
        refusing: watch::Sender::new(false),
    };
    let mut background = JoinSet::new();
    background.spawn(api::sample(api.clone()));
    let backend = backend::Daemon::new(api.supervisor.clone(), router, open.refusing.subscribe());
    let addresses = bound.local_addrs().to_vec();
    let running = bound.serve(Arc::new(backend)).map_err(tried("can't start the proxy"))?;
    if let Some(Next::Keep(text)) = &next {
        in_effect::keep(&keeper, text).map_err(tried("can't keep the configuration"))?;
    }
    // Last, as who leaves gives this one its connections then.
    open.predecessors = before.follow(&running, &routes).map_err(tried("can't start threads"))?;
    // First, so that whoever reads of it and kills this process finds it started again.
    keeper.ready();
    if next == Some(Next::Reload) {
        // Only then it is known which requests are under way, and have their time.
        let told = open.predecessors.iter().map(succession::Predecessor::told).collect();
        background.spawn(take_anew(api.clone(), told));
    }
    ready::tell(&addresses, &api.about.config.load(), token.as_deref());
    let how = stop::when_told(signals, &api, grounds, running, &keeper, &mut open).await;
    if let Some(sinks) = open.sinks.take() {
        sinks.end().await;
    }
    if how == stop::End::Whole {
        grounds.host.end_strays().await.map_err(tried("can't end what instances left behind"))?;
    }
    open.admin.finish().await;
    Ok(how)
}

/// The file of a successor, once it is `told` what its predecessors still use.
async fn take_anew(api: Api, told: Vec<impl Future<Output = ()>>) {
    for told in told {
        told.await;
    }
    api::take_anew(api).await;
}

/// Whatever this process creates is for its user alone: the state holds tenants' secrets, and the data directory
/// may have been made by somebody who let everybody in. Instances get a mask of their own.
fn keep_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}
