//! The HTTP API. One file per noun; `auth` is the one place that decides who may.

mod assets;
mod auth;
mod body;
mod config;
mod error;
mod from_json;
mod health;
mod instances;
mod logs;
mod metrics;
mod moment;
mod page;
mod query;
mod rates;
mod rejoined;
mod serve;
mod services;
mod status;
mod tokens;
mod usage;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};
use tenement_core::config::Config;
use tenement_logs::LogStore;
use tenement_supervisor::Supervisor;

pub(crate) use self::{auth::is_allowed, error::ApiError};
pub use self::{
    serve::{Trust, serve},
    usage::{Samples, sample},
};
use crate::store::Store;

/// The largest request body.
const BODY_MAX: usize = 1 << 20;

/// What the handlers work with.
#[derive(Clone)]
pub struct Api {
    /// The instances.
    pub supervisor: Supervisor,
    /// Their logs.
    pub logs: LogStore,
    /// The tokens.
    pub store: Arc<Store>,
    /// What was last seen of their usage.
    pub samples: Arc<Samples>,
    /// Set while the daemon ends.
    pub draining: Arc<AtomicBool>,
    /// What does not change.
    pub about: Arc<About>,
}

/// What the API says of the daemon itself.
#[derive(Clone, Debug)]
pub struct About {
    /// Where its state is.
    pub data_dir: PathBuf,
    /// What this machine can enforce, in words.
    pub host: String,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// When it started.
    pub started: Instant,
}

impl Api {
    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// Every route.
pub fn router(api: Api) -> Router {
    let guarded = Router::new()
        .route("/api/config", get(config::get))
        .route("/api/config/validate", get(config::validate).post(config::validate))
        .route("/api/instances", get(instances::list).post(instances::spawn))
        .route("/api/instances/{service}/{id}", get(instances::get).delete(instances::delete))
        .route("/api/instances/{service}/{id}/restart", post(instances::restart))
        .route("/api/logs", get(logs::all))
        .route("/api/logs/{service}/{id}", get(logs::of_instance))
        .route("/api/metrics", get(metrics::list))
        .route("/api/metrics/{service}/{id}", get(metrics::of_instance))
        .route("/api/services", get(services::list))
        .route("/api/status", get(status::status))
        .route("/api/tokens", post(tokens::create))
        .route_layer(middleware::from_fn_with_state(api.clone(), auth::require));
    Router::new()
        .merge(guarded)
        .route("/", get(assets::page))
        .route("/favicon.ico", get(assets::no_icon))
        .route("/assets/dashboard.js", get(assets::script))
        .route("/assets/dashboard.css", get(assets::style))
        .route("/health", get(health::health))
        .route("/metrics", get(crate::metrics::metrics))
        .fallback(|| async { ApiError::no_route() })
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(api)
}

#[cfg(test)]
mod tests;
