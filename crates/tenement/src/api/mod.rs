//! The HTTP API. One file per noun; `auth` is the one place that decides who may, by what each route's description
//! demands.

mod access;
mod assets;
mod audit;
mod auth;
mod backup;
mod blocking;
mod body;
mod caller;
mod changes;
mod config;
mod count;
mod delivery;
mod describe;
mod docs;
mod error;
mod etag;
mod events;
mod from_json;
mod health;
mod idempotency;
mod instances;
mod limit;
mod logs;
mod metrics;
mod moment;
mod notes;
mod overview;
mod page;
mod query;
mod rates;
mod reason;
mod rejoined;
mod reload;
mod serve;
mod services;
mod session;
mod source;
mod status;
mod stream;
mod tally;
mod tokens;
mod upgrade;
mod usage;
mod words;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use axum::{Router, middleware};
use tenement_core::{config::Config, name::InstanceName, time::WallMillis};
use tenement_logs::LogStore;
use tenement_runtime::process::Capabilities;
use tenement_supervisor::Supervisor;
use tokio::sync::watch;
use utoipa::{OpenApi, openapi};
use utoipa_axum::router::OpenApiRouter;

use self::access::Access;
pub(crate) use self::{caller::Caller, error::ApiError, instances::timestamp, logs::Line as LineView};
pub use self::{
    changes::Changes,
    idempotency::Repeated,
    limit::Limits,
    overview::Overview,
    reload::take_anew,
    serve::{Trust, serve},
    session::Links,
    stream::{READ_BUFFER, WRITE_BUFFER},
    upgrade::Upgrades,
    usage::{Samples, sample},
};
use crate::{
    flags::Flags, history::History, retention::Retention, samples::Rings, sinks::Sinks, store::Store,
};

/// What the handlers work with.
#[derive(Clone)]
pub struct Api {
    /// The instances.
    pub supervisor: Supervisor,
    /// Their logs.
    pub logs: LogStore,
    /// How much of them is kept.
    pub retention: Arc<Retention>,
    /// The tokens.
    pub store: Arc<Store>,
    /// What was last seen of their usage.
    pub samples: Arc<Samples>,
    /// What they used and served over the last week.
    pub rings: Arc<Rings>,
    /// How often each caller came.
    pub limits: Arc<Limits>,
    /// What happened.
    pub history: Arc<History>,
    /// Ways into the dashboard that nobody has taken yet.
    pub links: Arc<Links>,
    /// Requests with an `Idempotency-Key` that are being carried out.
    pub repeated: Arc<Repeated>,
    /// Who waits for a successor.
    pub upgrades: Arc<Upgrades>,
    /// The live table of all instances.
    pub overview: Arc<Overview>,
    /// Requests that change something.
    pub changes: Arc<Changes>,
    /// Where lines go besides the store.
    pub sinks: Arc<Sinks>,
    /// Set while the daemon ends.
    pub draining: Arc<watch::Sender<bool>>,
    /// What does not change.
    pub about: Arc<About>,
}

/// What the API says of the daemon itself.
#[derive(Debug)]
pub struct About {
    /// Where its state is.
    pub data_dir: PathBuf,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    /// What this machine can enforce.
    pub host: Capabilities,
    /// The configuration in force, which a reload replaces.
    pub config: Arc<ArcSwap<Config>>,
    /// What the flags of `ten serve` say over it.
    pub flags: Flags,
    /// When it started.
    pub started: Instant,
    /// The same by the wall clock.
    pub started_at: WallMillis,
}

impl Api {
    fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }
}

/// What a request was about, where its path does not say: for the audit.
#[derive(Clone, Debug)]
enum Subject {
    Instance(InstanceName),
    Token(String),
}

/// Everything that is described, and so guarded.
fn described() -> (Router<Api>, openapi::OpenApi) {
    let (router, mut description) = OpenApiRouter::with_openapi(describe::Description::openapi())
        .merge(audit::router())
        .merge(backup::router())
        .merge(config::router())
        .merge(events::router())
        .merge(health::router())
        .merge(instances::router())
        .merge(logs::router())
        .merge(metrics::router())
        .merge(overview::router())
        .merge(reload::router())
        .merge(services::router())
        .merge(session::router())
        .merge(status::router())
        .merge(tokens::router())
        .merge(upgrade::router())
        .merge(crate::metrics::router())
        .split_for_parts();
    describe::complete(&mut description);
    (router, description)
}

/// Every route.
pub fn router(api: Api) -> Router {
    let (described, description) = described();
    let access = Arc::new(Access::of(&description));
    described
        .fallback(|| async { ApiError::no_route() })
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .layer(middleware::from_fn_with_state(api.clone(), changes::admit))
        .layer(middleware::from_fn_with_state((api.clone(), access), auth::gate))
        .merge(docs::router(&description))
        .merge(assets::router())
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .layer(middleware::from_fn_with_state(api.clone(), count::count))
        .with_state(api)
}

#[cfg(test)]
mod tests;
