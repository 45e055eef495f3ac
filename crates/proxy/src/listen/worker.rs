//! One thread: its runtime, its listeners, its connections.
//!
//! ```text
//!   Serve ──► Drain: idle connections end, busy ones finish ──► Cut: WebSockets say goodbye, ──► Close
//!                    │                                              the rest is dropped           │
//!                    └── new ones get the control plane, or a 503 ────────────────────────────────┘
//! ```

use std::{
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    task::LocalSet,
};

use super::connections::Connections;
use crate::{backend::Backend, config::Config, io::Stream, request};

/// What all threads are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    Serve,
    Drain,
    Cut,
    Close,
}

/// How long to wait when no descriptor is left for another connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

pub(super) struct Worker {
    pub(super) listeners: Vec<TcpListener>,
    pub(super) config: Config,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) orders: watch::Receiver<Order>,
    pub(super) panics: Arc<AtomicU64>,
    /// Dropped when no connection from before the drain is left.
    pub(super) undrained: mpsc::Sender<()>,
}

/// What the listeners of one thread share.
struct Door {
    thread: Rc<request::Thread>,
    /// Opened before the drain.
    early: Rc<Connections>,
    /// Opened after it began.
    late: Rc<Connections>,
    panics: Arc<AtomicU64>,
}

impl Worker {
    /// Serves until told to stop.
    pub(super) fn run(self) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(%error, "a proxy thread could not start");
                return;
            }
        };
        let local = LocalSet::new();
        runtime.block_on(local.run_until(self.serve()));
    }

    async fn serve(mut self) {
        let door = Rc::new(Door {
            thread: Rc::new(request::Thread::new(self.config.clone(), Arc::clone(&self.backend))),
            early: Rc::default(),
            late: Rc::default(),
            panics: Arc::clone(&self.panics),
        });
        for listener in std::mem::take(&mut self.listeners) {
            tokio::task::spawn_local(accept(listener, Rc::clone(&door)));
        }
        // Nobody gives orders any more when the sender is gone: as the last order.
        let _ = self.orders.wait_for(|&order| order >= Order::Drain).await;
        door.thread.drain();
        door.early.end_idle();
        tokio::select! {
            () = door.early.emptied() => {}
            _ = self.orders.wait_for(|&order| order >= Order::Cut) => {
                door.thread.cut();
                door.early.end_all();
            }
        }
        door.early.emptied().await;
        drop(self.undrained);
        let _ = self.orders.wait_for(|&order| order >= Order::Close).await;
    }
}

async fn accept(listener: TcpListener, door: Rc<Door>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "a listener could not be watched");
            return;
        }
    };
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => door.open(stream, peer),
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted now");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

impl Door {
    fn open(&self, stream: TcpStream, peer: SocketAddr) {
        // Answers are written whole; waiting to fill a segment would only delay their ends.
        let _ = stream.set_nodelay(true);
        let phase = Rc::default();
        let connections = if self.thread.is_draining() { &self.late } else { &self.early };
        let serve =
            request::serve(Rc::clone(&self.thread), Stream::Tcp(stream), peer.ip(), Rc::clone(&phase));
        let key = connections.next_key();
        let panics = Arc::clone(&self.panics);
        let closing = Closing { key, connections: Rc::clone(connections), panics };
        let task = tokio::task::spawn_local(async move {
            let _closing = closing;
            serve.await;
        });
        connections.add(key, task.abort_handle(), phase);
    }
}

/// Notes the end of a connection however it ends.
struct Closing {
    key: u64,
    connections: Rc<Connections>,
    panics: Arc<AtomicU64>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.panics.fetch_add(1, Ordering::Relaxed);
        }
        self.connections.remove(self.key);
    }
}
