//! One thread: its runtime, its listeners, its connections.
//!
//! ```text
//!   Serve ─┬─► Drain: idle connections end, busy ones finish ──┬─► Cut: WebSockets say goodbye, ──► Close
//!          │          │                                        │       the rest is dropped           │
//!          │          └── new ones get the control plane, or a 503 ──────────────────────────────────┘
//!          └─► Leave: nothing is accepted, idle connections ───┘
//!                     are moved, busy ones once they finish
//! ```
//!
//! To drain a thread that leaves means nothing: whoever its connections are moved to goes on.

use std::{
    io,
    net::{IpAddr, TcpListener},
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tenement_runtime::seldom::Seldom;
use tokio::{
    net::TcpStream,
    runtime::Runtime,
    sync::{mpsc, watch},
    task::LocalSet,
};

use super::connections::Connections;
use crate::{
    backend::Backend,
    config::Config,
    handover::{Heir, Moved, Tether},
    io::{Buffer, Stream},
    request,
};

/// What all threads are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    Serve,
    Leave,
    Drain,
    Cut,
    Close,
}

/// How long to wait when no descriptor is left for another connection.
const EXHAUSTED: Duration = Duration::from_millis(100);
static EXHAUSTED_SAID: Seldom = Seldom::new();

pub(super) struct Worker {
    pub(super) listeners: Vec<TcpListener>,
    pub(super) config: Config,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) orders: watch::Receiver<Order>,
    /// Set before the order to leave.
    pub(super) heir: Heir,
    /// What this thread is to serve on.
    pub(super) moved: mpsc::UnboundedReceiver<Moved>,
    pub(super) panics: Arc<AtomicU64>,
    /// Dropped when no connection from before the drain, or before it was left, is there any more.
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
    /// Serves until told to stop. `runtime`: made before, as a thread without one would leave connections in its queues.
    pub(super) fn run(self, runtime: &Runtime) {
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
        let listeners = std::mem::take(&mut self.listeners).into_iter();
        let accepting: Vec<_> =
            listeners.map(|listener| tokio::task::spawn_local(accept(listener, Rc::clone(&door)))).collect();
        let moved = &mut self.moved;
        // Nobody gives orders any more when the sender is gone: as the last order.
        let _ = adopting(moved, &door, self.orders.wait_for(|&order| order >= Order::Leave)).await;
        if let Some(heir) = self.heir.get() {
            for task in accepting {
                // What was accepted is a connection by now; what was not is left in the queue.
                task.abort();
                let _ = task.await;
            }
            door.thread.leave(Arc::clone(heir));
            door.early.pull();
        } else {
            door.thread.drain();
            door.early.end_idle();
        }
        tokio::select! {
            () = adopting(moved, &door, door.early.emptied()) => {}
            _ = self.orders.wait_for(|&order| order >= Order::Cut) => {
                door.thread.cut();
                door.early.end_all();
            }
        }
        door.early.emptied().await;
        drop(self.undrained);
        let _ = adopting(moved, &door, self.orders.wait_for(|&order| order >= Order::Close)).await;
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
            Ok((stream, peer)) => {
                // Answers are written whole; waiting to fill a segment would only delay their ends.
                let _ = stream.set_nodelay(true);
                door.open(stream, peer.ip(), Buffer::default());
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                if let Some(unsaid) = EXHAUSTED_SAID.now() {
                    tracing::warn!(%error, unsaid, "no connection can be accepted now; those that wait are when it can be again");
                }
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// Waits for `done`, and serves what comes from another process until then. That goes first: what has come is a
/// connection of this thread before anybody asks whether there is one left.
async fn adopting<T>(
    moved: &mut mpsc::UnboundedReceiver<Moved>,
    door: &Door,
    done: impl Future<Output = T>,
) -> T {
    let mut done = pin!(done);
    loop {
        tokio::select! {
            biased;
            Some(moved) = moved.recv() => door.adopt(moved),
            done = &mut done => return done,
        }
    }
}

impl Door {
    fn adopt(&self, Moved { connection, peer, received }: Moved) {
        let stream = std::net::TcpStream::from(connection);
        match stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
            Ok(stream) => self.open(stream, peer, Buffer::of(received)),
            Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
        }
    }

    fn open(&self, stream: TcpStream, peer: IpAddr, received: Buffer) {
        let tether = Rc::<Tether>::default();
        let connections = if self.thread.is_draining() { &self.late } else { &self.early };
        let (thread, stream) = (Rc::clone(&self.thread), Stream::Tcp(stream));
        let serve = request::serve(thread, stream, peer, received, Rc::clone(&tether));
        let key = connections.next_key();
        let panics = Arc::clone(&self.panics);
        let closing = Closing { key, connections: Rc::clone(connections), panics };
        let task = tokio::task::spawn_local(async move {
            let _closing = closing;
            serve.await;
        });
        connections.add(key, task.abort_handle(), tether);
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
