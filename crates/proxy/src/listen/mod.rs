//! Listening sockets and the threads that serve them.
//!
//! Each thread listens for itself (`SO_REUSEPORT`), so the kernel spreads connections and no lock is shared. What another
//! process has served until now comes over a channel of each thread.

mod bind;
mod connections;
mod worker;

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::{mpsc, watch};

pub use bind::BindError;

use crate::{
    backend::Backend,
    config::Config,
    handover::{Heir, Moved, Successor},
};
use bind::Group;
use worker::{Order, Worker};

/// Sockets that listen; connections wait in their queues.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    addresses: Vec<SocketAddr>,
    groups: Vec<Group>,
}

/// Threads that serve.
#[derive(Debug)]
pub struct Running {
    orders: watch::Sender<Order>,
    heir: Heir,
    doors: Arc<Doors>,
    /// Closed when the last thread has no connection from before the drain any more.
    drained: mpsc::Receiver<()>,
    threads: Vec<JoinHandle<()>>,
    panics: Arc<AtomicU64>,
}

/// Where each thread takes over connections.
#[derive(Debug)]
struct Doors {
    threads: Vec<mpsc::UnboundedSender<Moved>>,
    next: AtomicUsize,
}

impl Successor for Doors {
    fn take(&self, mut moved: Moved) {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        for at in 0..self.threads.len() {
            let thread = &self.threads[next.wrapping_add(at) % self.threads.len()];
            match thread.send(moved) {
                Ok(()) => return,
                Err(mpsc::error::SendError(back)) => moved = back,
            }
        }
        tracing::warn!(peer = %moved.peer, "nobody is left to take over a connection");
    }
}

impl Bound {
    /// Begins to listen.
    ///
    /// # Errors
    /// An address is taken or not allowed; nothing listens then.
    pub fn bind(config: Config) -> Result<Self, BindError> {
        Self::inherit(config, Vec::new())
    }

    /// As [`Self::bind`], but takes the sockets of a predecessor for the addresses that it listens on already; port 0 is
    /// whatever port it has there. They may be fewer or more than there are threads. What isn't wanted any more, or
    /// does not listen, is closed.
    ///
    /// # Errors
    /// An address is taken or not allowed, other than by the predecessor.
    pub fn inherit(config: Config, inherited: Vec<OwnedFd>) -> Result<Self, BindError> {
        let groups = bind::all(&config.listen, config.threads.max(1), inherited)?;
        let addresses = groups.iter().map(|group| group.address).collect();
        Ok(Self { config, addresses, groups })
    }

    /// Where it listens, ports filled in.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The listening sockets of each address, for [`Self::inherit`] in another process. All of them: connections wait in
    /// the queue of each.
    #[must_use]
    pub fn descriptors(&self) -> Vec<(SocketAddr, Vec<BorrowedFd<'_>>)> {
        self.groups
            .iter()
            .map(|group| (group.address, group.sockets.iter().map(AsFd::as_fd).collect()))
            .collect()
    }

    /// Serves on threads of its own.
    ///
    /// # Errors
    /// A thread could not be started, or no descriptor is left.
    pub fn serve(self, backend: Arc<dyn Backend>) -> io::Result<Running> {
        let (orders, receiver) = watch::channel(Order::Serve);
        let (undrained, drained) = mpsc::channel(1);
        let (panics, heir) = (Arc::new(AtomicU64::new(0)), Heir::default());
        let (mut threads, mut doors) = (Vec::new(), Vec::new());
        let listeners = bind::spread(self.groups, self.config.threads.max(1))?;
        for (index, listeners) in listeners.into_iter().enumerate() {
            let (door, moved) = mpsc::unbounded_channel();
            doors.push(door);
            let worker = Worker {
                listeners,
                config: self.config.clone(),
                backend: Arc::clone(&backend),
                orders: receiver.clone(),
                heir: heir.clone(),
                moved,
                panics: Arc::clone(&panics),
                undrained: undrained.clone(),
            };
            let name = format!("proxy-{index}");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            threads.push(std::thread::Builder::new().name(name).spawn(move || worker.run(&runtime))?);
        }
        let doors = Arc::new(Doors { threads: doors, next: AtomicUsize::new(0) });
        Ok(Running { orders, heir, doors, drained, threads, panics })
    }
}
impl Running {
    /// Requests that ended in a panic, which was caught.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Serves a connection that another process had, as if just accepted. It may be gone already.
    pub fn take(&self, moved: Moved) {
        self.doors.take(moved);
    }

    /// The same for somebody else to hold. When everything here has ended, what it takes is closed.
    #[must_use]
    pub fn taker(&self) -> Arc<dyn Successor> {
        Arc::clone(&self.doors) as Arc<dyn Successor>
    }

    /// Leaves everything to `successor`, which has to accept from the same sockets already: those of this one are closed.
    /// Every connection is moved, as soon as nothing is under way on it: at once if it is idle, if only a part of a head
    /// has come, or if its request waits for an instance to be woken; otherwise after the answer. No answer differs
    /// for it. Means nothing after a drain has begun, or for the second time.
    pub fn hand_over(&self, successor: Arc<dyn Successor>) {
        self.orders.send_if_modified(|order| {
            let first = *order == Order::Serve;
            if first {
                // Before the order can be seen.
                self.heir.set(successor);
                *order = Order::Leave;
            }
            first
        });
    }

    /// Returns when the last connection was moved, or has ended. Tunnels may take for ever: [`Self::cut`] ends them
    /// with code 1012, "service restart", and everything else that is left.
    pub async fn handed_over(&mut self) {
        self.drained.recv().await;
    }

    /// Lets requests in flight end for at most `within`, then cuts off what is left of them. Who connects from now on
    /// is told that this is the end; only the control plane still answers. After [`Self::hand_over`] that goes on instead.
    pub async fn drain(&mut self, within: Duration) {
        self.orders.send_replace(Order::Drain);
        if tokio::time::timeout(within, self.drained.recv()).await.is_err() {
            self.cut().await;
        }
    }

    /// As [`Self::drain`], without any patience.
    pub async fn cut(&mut self) {
        self.orders.send_replace(Order::Cut);
        self.drained.recv().await;
    }

    /// Closes everything. Returns when every thread has ended.
    pub fn close(self) {
        self.orders.send_replace(Order::Close);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}
