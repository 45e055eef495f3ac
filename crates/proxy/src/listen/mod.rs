//! Listening sockets and the threads that serve them.
//!
//! Each thread listens for itself (`SO_REUSEPORT`), so the kernel spreads connections and no lock is shared.

mod bind;
mod connections;
mod worker;

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::{mpsc, watch};

pub use bind::BindError;

use crate::{backend::Backend, config::Config};
use worker::{Order, Worker};

/// Sockets that listen; connections wait in their queues.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    addresses: Vec<SocketAddr>,
    /// By thread, then by address.
    listeners: Vec<Vec<std::net::TcpListener>>,
}

/// Threads that serve.
#[derive(Debug)]
pub struct Running {
    orders: watch::Sender<Order>,
    /// Closed when the last thread has no connection from before the drain any more.
    drained: mpsc::Receiver<()>,
    threads: Vec<JoinHandle<()>>,
    panics: Arc<AtomicU64>,
}

impl Bound {
    /// Begins to listen.
    ///
    /// # Errors
    /// An address is taken or not allowed; nothing listens then.
    pub fn bind(config: Config) -> Result<Self, BindError> {
        Self::inherit(config, Vec::new())
    }

    /// As [`Self::bind`], with listening sockets of a daemon before: those of an address of the configuration are taken,
    /// with the connections that wait in their queues, and the others closed.
    ///
    /// # Errors
    /// As for [`Self::bind`].
    pub fn inherit(config: Config, inherited: Vec<OwnedFd>) -> Result<Self, BindError> {
        let threads = config.threads.max(1);
        let (addresses, listeners) = bind::all(&config.listen, threads, inherited)?;
        Ok(Self { config, addresses, listeners })
    }

    /// The sockets of each address, to be kept for a daemon to come.
    #[must_use]
    pub fn descriptors(&self) -> Vec<(SocketAddr, Vec<BorrowedFd<'_>>)> {
        let all = || self.listeners.iter().flatten();
        let of = |address: SocketAddr| {
            let own = all().filter(move |listener| listener.local_addr().is_ok_and(|own| own == address));
            own.map(AsFd::as_fd).collect()
        };
        self.addresses.iter().map(|&address| (address, of(address))).collect()
    }

    /// Where it listens, ports filled in.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves on threads of its own.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn serve(self, backend: Arc<dyn Backend>) -> io::Result<Running> {
        let (orders, receiver) = watch::channel(Order::Serve);
        let (undrained, drained) = mpsc::channel(1);
        let panics = Arc::new(AtomicU64::new(0));
        let mut threads = Vec::new();
        for (index, listeners) in self.listeners.into_iter().enumerate() {
            let worker = Worker {
                listeners,
                config: self.config.clone(),
                backend: Arc::clone(&backend),
                orders: receiver.clone(),
                panics: Arc::clone(&panics),
                undrained: undrained.clone(),
            };
            let name = format!("proxy-{index}");
            threads.push(std::thread::Builder::new().name(name).spawn(move || worker.run())?);
        }
        Ok(Running { orders, drained, threads, panics })
    }
}

impl Running {
    /// Requests that ended in a panic, which was caught.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Lets requests in flight end for at most `within`, then cuts off what is left of them. Who connects from now on
    /// is told that this is the end; only the control plane still answers.
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
