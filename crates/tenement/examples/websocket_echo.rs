//! Sends back every message it gets, over the stack of the API's own WebSockets: the proxy, a socket pair, hyper and
//! axum. For the test suite in `autobahn/`.

#![allow(clippy::disallowed_methods, reason = "not part of the daemon")]

use std::{io, net::SocketAddr, os::unix::net::UnixStream, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    Router,
    extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    routing::any,
};
use tenement::api::{READ_BUFFER, Trust, WRITE_BUFFER, serve};
use tenement_core::{name::InstanceName, route::RouteTable, slot::RunId, wake::WakeRefusal};
use tenement_proxy::{Backend, Bound, BoxFuture, Config, Limits};
use tokio::runtime::Handle;
use tungstenite::Error;

/// Knows no instance: every request goes to the control plane.
struct NoInstances {
    routes: ArcSwap<RouteTable>,
    router: Router,
    runtime: Handle,
}

impl Backend for NoInstances {
    fn routes(&self) -> &ArcSwap<RouteTable> {
        &self.routes
    }

    fn wake(
        &self,
        _: InstanceName,
        _: Option<RunId>,
        _: Option<String>,
    ) -> BoxFuture<Result<(), WakeRefusal>> {
        Box::pin(async { Err(WakeRefusal::Unknown) })
    }

    fn control(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        let _entered = self.runtime.enter();
        let theirs = tokio::net::UnixStream::from_std(theirs)?;
        self.runtime.spawn(serve(theirs, self.router.clone(), Trust::Nobody));
        Ok(ours)
    }
}

async fn echo(mut socket: WebSocket) {
    loop {
        match socket.recv().await {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
            // The library answers pings and close frames by itself.
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                let code = match error.into_inner().downcast_ref::<Error>() {
                    Some(Error::Protocol(_)) => 1002,
                    Some(Error::Utf8(_)) => 1007,
                    Some(Error::Capacity(_)) => 1009,
                    _ => return,
                };
                let _ = socket.send(Message::Close(Some(CloseFrame { code, reason: "".into() }))).await;
                return;
            }
            None => return,
        }
    }
}

/// As the API's, but for the size of messages: the suite's are up to 16 MiB.
async fn upgrade(upgrade: WebSocketUpgrade) -> axum::response::Response {
    upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(WRITE_BUFFER).on_upgrade(echo)
}

#[tokio::main]
async fn main() {
    let backend = NoInstances {
        routes: ArcSwap::from_pointee(RouteTable::new("localhost")),
        router: Router::new().route("/", any(upgrade)),
        runtime: Handle::current(),
    };
    let bound = Bound::bind(Config {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        threads: 2,
        trusted_proxies: Vec::new(),
        limits: Limits::default(),
    })
    .expect("a free port");
    let port = bound.local_addrs()[0].port();
    let _running = bound.serve(Arc::new(backend)).expect("threads");
    println!("ready {port}");
    std::future::pending().await
}
