//! HTTP on connections that somebody else accepted: those the proxy hands over, and those of the local
//! administration socket.

use axum::{Extension, Router};
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{net::UnixStream, runtime::Handle};

/// Fields of a head. The proxy refuses more than 100, and adds some of its own.
const FIELDS: usize = 128;
/// What a connection has for a head, and for what is written and not taken yet. A head has 64 KiB at most.
const BUFFER: usize = 128 << 10;

/// How far a connection is trusted before a token is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Not at all.
    Nobody,
    /// The peer has the daemon's uid or is root: it could read the state anyway.
    LocalAdministrator,
}

/// Serves one connection until it ends. What was asked for is carried out also when the other side leaves meanwhile; an
/// answer without end then has one.
pub async fn serve(stream: UnixStream, router: Router, trust: Trust) {
    let router = TowerToHyperService::new(router.layer(Extension(trust)));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let work = Handle::current().spawn(router.call(request));
        async { work.await.map(|answered| answered.unwrap_or_else(|never| match never {})) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .half_close(false)
        .max_headers(FIELDS)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = served.await {
        tracing::debug!(%error, "connection to the API ended");
    }
}
