//! HTTP on connections that somebody else accepted: those the proxy hands over, and those of the local
//! administration socket.

use axum::Router;
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{net::UnixStream, runtime::Handle};

use super::blocking::Waiting;

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
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let waiting = Waiting::default();
        request.extensions_mut().insert(waiting.abandoned());
        // Not by a layer: that would be all routes anew, for each connection.
        request.extensions_mut().insert(trust);
        let work = Handle::current().spawn(router.call(request));
        async {
            let _waiting = waiting;
            work.await.map(|answered| answered.unwrap_or_else(|never| match never {}))
        }
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

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::atomic::Ordering::Relaxed, time::Duration};

    use axum::routing::get;
    use tokio::{io::AsyncWriteExt, sync::mpsc, task::JoinSet, time::sleep};

    use super::*;
    use crate::api::blocking::Abandoned;

    #[tokio::test]
    async fn what_somebody_asked_for_can_see_that_they_left() {
        let (tell, mut told) = mpsc::channel(1);
        let handler = async move |abandoned: Abandoned| {
            let _ = tell.send(abandoned).await;
            pending::<()>().await;
        };
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(serve(theirs, Router::new().route("/", get(handler)), Trust::Nobody));
        ours.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let abandoned = told.recv().await.unwrap().flag();
        assert!(!abandoned.load(Relaxed));
        drop(ours);
        while !abandoned.load(Relaxed) {
            sleep(Duration::from_millis(1)).await;
        }
        serving.join_next().await.unwrap().unwrap();
    }
}
