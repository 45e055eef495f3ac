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

pub use data_dir::DataDirError;
pub use listen::ListenError;
pub use log::Log;

use std::{io, os::fd::OwnedFd, path::PathBuf, sync::Arc};

use rustix::fs::Mode;
use tenement_core::{config::Config, layout};
use tenement_proxy::Bound;
use tenement_runtime::{
    heap,
    keeper::{Identity, Inheritance, Link, PREDECESSOR},
    limits, own,
};
use tokio::{sync::watch, task::JoinSet};

use grounds::Grounds;

use crate::{
    api::{self, Api},
    flags::Flags,
    history::{History, HistoryError},
    in_effect::{self, Text},
    panics,
    runs::{self, RunsError},
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
/// `text`: what the configuration
/// was read from just now, to be kept for a next daemon. `token`: the administrator's choice of a first token. `kept`: what a daemon before this one left with the keeper.
///
/// # Errors
/// It did not start; nothing is left running then.
pub fn run(
    config: Config,
    flags: Flags,
    text: Option<Text>,
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
        let predecessor = kept.held.remove(PREDECESSOR).and_then(|held| held.into_iter().next());
        let output = Arc::new(output::Pipes::new(&grounds, keeper.clone(), &mut kept));
        let supervisor = grounds.supervise(&config, output).await?;
        grounds.settle_exits(&keeper);
        let api = grounds.api(supervisor, config, flags, &keeper);
        let recording = incidents.record(api.supervisor.clone(), Arc::clone(&api.history));
        tokio::runtime::Handle::current().spawn(recording);
        serve(api, &grounds, Door { bound, admin, keeper, predecessor, text }, token).await
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
    /// The way from a daemon that this one follows.
    predecessor: Option<OwnedFd>,
    /// What is in effect once requests are served.
    text: Option<Text>,
}

/// What goes on beside the instances as long as this daemon is the one.
struct Open {
    admin: admin::Admin,
    sinks: Option<crate::sinks::Running>,
    chores: Option<chores::Chores>,
    /// The daemon that this one has followed, while it has something to give.
    predecessor: Option<succession::Predecessor>,
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
    Door { bound, admin, keeper, predecessor, text }: Door,
    token: Option<String>,
) -> Result<stop::End, DaemonError> {
    let signals = stop::Signals::new().map_err(tried("can't watch signals"))?;
    let routes = Arc::clone(api.supervisor.routes());
    let router = api::router(api.clone());
    let mut open = Open {
        predecessor: None,
        admin: admin.serve(router.clone()).map_err(tried("can't serve the administration socket"))?,
        sinks: Some(api.sinks.begin(&api.logs)),
        chores: Some(chores::begin(Arc::clone(&api.store), Arc::clone(&grounds.runs), Arc::clone(&routes))),
        refusing: watch::Sender::new(false),
    };
    let mut background = JoinSet::new();
    background.spawn(api::sample(api.clone()));
    let backend = backend::Daemon::new(api.supervisor.clone(), router, open.refusing.subscribe());
    let addresses = bound.local_addrs().to_vec();
    let running = bound.serve(Arc::new(backend)).map_err(tried("can't start the proxy"))?;
    if let Some(predecessor) = predecessor {
        let begun = succession::begin(predecessor, running.taker(), routes);
        open.predecessor = Some(begun.map_err(tried("can't start threads"))?);
    }
    if let Some(text) = text {
        in_effect::keep(&keeper, &text).map_err(tried("can't keep the configuration"))?;
    }
    // First, so that whoever reads of it and kills this process finds it started again.
    keeper.ready();
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

/// Whatever this process creates is for its user alone: the state holds tenants' secrets, and the data directory
/// may have been made by somebody who let everybody in. Instances get a mask of their own.
fn keep_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}
