//! HTTP on connections that somebody else accepted: those the proxy hands over, and those of the local
//! administration socket.

use axum::{Extension, Router};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::UnixStream;

/// How far a connection is trusted before a token is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Not at all.
    Nobody,
    /// The peer has the daemon's uid or is root: it could read the state anyway.
    LocalAdministrator,
}

/// Serves one connection until it ends.
pub async fn serve(stream: UnixStream, router: Router, trust: Trust) {
    let service = TowerToHyperService::new(router.layer(Extension(trust)));
    let served = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = served.await {
        tracing::debug!(%error, "connection to the API ended");
    }
}
