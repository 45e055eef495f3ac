//! One thread: its runtime, its listeners, its connections.
//!
//! ```text
//!   Serve ──► Drain: no new connections, idle ones end, busy ones finish ──► Cut: the rest is dropped
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

use super::connections::{Connections, Idle};
use crate::{backend::Backend, config::Config, io::Stream, request};

/// What all threads are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Serve,
    Drain,
    Cut,
}

/// How long to wait when no descriptor is left for another connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

pub(super) struct Worker {
    pub(super) listeners: Vec<TcpListener>,
    pub(super) config: Config,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) orders: watch::Receiver<Order>,
    pub(super) panics: Arc<AtomicU64>,
    /// Dropped when the thread ends.
    pub(super) _alive: mpsc::Sender<()>,
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
        let thread = Rc::new(request::Thread::new(self.config.clone(), Arc::clone(&self.backend)));
        let connections = Rc::new(Connections::default());
        let accepting: Vec<_> = std::mem::take(&mut self.listeners)
            .into_iter()
            .map(|listener| {
                let accept =
                    accept(listener, Rc::clone(&thread), Rc::clone(&connections), Arc::clone(&self.panics));
                tokio::task::spawn_local(accept)
            })
            .collect();
        // Nobody gives orders any more when the sender is gone: as an order to cut.
        let _ = self.orders.wait_for(|&order| order != Order::Serve).await;
        for task in &accepting {
            task.abort();
        }
        for task in accepting {
            let _ = task.await;
        }
        thread.drain();
        connections.end_idle();
        tokio::select! {
            () = connections.emptied() => {}
            _ = self.orders.wait_for(|&order| order == Order::Cut) => {}
        }
    }
}

async fn accept(
    listener: TcpListener,
    thread: Rc<request::Thread>,
    connections: Rc<Connections>,
    panics: Arc<AtomicU64>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "a listener could not be watched");
            return;
        }
    };
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => open(stream, peer, &thread, &connections, &panics),
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

fn open(
    stream: TcpStream,
    peer: SocketAddr,
    thread: &Rc<request::Thread>,
    connections: &Rc<Connections>,
    panics: &Arc<AtomicU64>,
) {
    // Answers are written whole; waiting to fill a segment would only delay their ends.
    let _ = stream.set_nodelay(true);
    let idle = Idle::default();
    let serve = request::serve(Rc::clone(thread), Stream::Tcp(stream), peer.ip(), Rc::clone(&idle));
    let key = connections.next_key();
    let closing = Closing { key, connections: Rc::clone(connections), panics: Arc::clone(panics) };
    let task = tokio::task::spawn_local(async move {
        let _closing = closing;
        serve.await;
    });
    connections.add(key, task.abort_handle(), idle);
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
