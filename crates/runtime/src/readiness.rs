//! When a process accepts connections, and where.
//!
//! ```text
//!   inotify on the socket's folder ─┐
//!   a tick, growing to 5 ms ────────┴─► connect ─► does the listener belong to the process? ─► ready
//! ```
//!
//! A process that takes a socket from us accepts as soon as the first connection is no longer in the socket's queue.
//!
//! The folder is watched only while an instance starts, so the number of watches is that of the starts under
//! way. A socket that appears is bound but does not listen yet: listen(2) follows within microseconds, and
//! nothing tells when. Trying again at once would take the processor from the application that is about to
//! call it; so the tick starts anew, much finer.

use std::{
    fs, io,
    net::Ipv4Addr,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileTypeExt,
    },
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::inotify,
};
use tenement_core::slot::{Address, Identity};
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::TcpStream,
};

use crate::{event, listener::Listener, process::Process, pulse::Pulse, socket};

/// Before the first look at the port.
const FIRST_TICK: Duration = Duration::from_micros(200);
const LAST_TICK: Duration = Duration::from_millis(5);
/// After the socket appeared.
const LISTEN_TICK: Duration = Duration::from_micros(25);

/// Queues that are not in use.
const KEPT: usize = 64;

/// Closing a queue waits for a grace period of the kernel, some 10 ms, in which the instance would already
/// answer; taking a watch off it does not. So queues are kept.
static SPARE: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

/// Watches for a socket to appear.
#[derive(Debug)]
pub struct Watch {
    queue: Option<Queue>,
}

/// An inotify queue with one watch.
#[derive(Debug)]
struct Queue {
    /// Empty only while it is dropped.
    events: Option<AsyncFd<OwnedFd>>,
    watch: i32,
}

impl Queue {
    fn new(folder: &Path) -> io::Result<Self> {
        let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let events = match spare {
            Some(events) => events,
            None => inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?,
        };
        drain(&events);
        let what = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        let watch = inotify::add_watch(&events, folder, what)?;
        Ok(Self { events: Some(event::watch(events, Interest::READABLE)?), watch })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let Some(events) = self.events.take().map(AsyncFd::into_inner) else { return };
        let removed = inotify::remove_watch(&events, self.watch);
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if removed.is_ok() && spare.len() < KEPT {
            spare.push(events);
        }
    }
}

fn drain(events: &OwnedFd) {
    let mut buffer = [0_u8; 4096];
    while rustix::io::read(events, &mut buffer).is_ok_and(|read| read > 0) {}
}

impl Watch {
    /// Watches the folder of `socket`. To be made before the process starts. Without inotify it only ticks.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        let queue = Queue::new(socket.parent().unwrap_or(Path::new("/")));
        Self { queue: queue.inspect_err(|error| tracing::debug!(%error, "no inotify, polling instead")).ok() }
    }

    async fn changed(&self) {
        let events = self.queue.as_ref().and_then(|queue| queue.events.as_ref());
        let Some(events) = events else { return std::future::pending().await };
        let Ok(mut ready) = events.readable().await else { return std::future::pending().await };
        drain(events.get_ref());
        ready.clear_ready();
    }

    /// Returns when the process accepts on `socket` or on `port` of 127.0.0.1, which came first, with how to know it
    /// again and the connection that shows it. Does not end by itself: race it against the process's exit and a
    /// deadline.
    pub async fn ready(&self, process: &Process, socket: &Path, port: u16) -> Accepts {
        let pulse = Pulse::new();
        let unix = Probe::new(process, Address::Unix(socket.to_owned()));
        let tcp = Probe::new(process, Address::Tcp(port));
        let mut tick = FIRST_TICK;
        loop {
            tokio::select! {
                () = self.changed() => tick = LISTEN_TICK,
                () = pulse.pause(tick) => tick = (tick * 2).min(LAST_TICK),
            }
            if let Some(connection) = connect_unix(socket).filter(|found| unix.is_behind(found)) {
                return unix.accepts(connection);
            }
            if tick < FIRST_TICK {
                continue;
            }
            if let Some(connection) = connect_tcp(port).await.filter(|found| tcp.is_behind(found)) {
                // An app that listens on both was between the two a moment ago; its socket is the cheaper way.
                return match connect_unix(socket).filter(|found| unix.is_behind(found)) {
                    Some(connection) => unix.accepts(connection),
                    None => tcp.accepts(connection),
                };
            }
        }
    }
}

/// Returns when `process` takes a connection from `listening`, the socket bound to `path` that was passed on to it.
/// Does not end by itself, as [`Watch::ready`].
///
/// # Errors
/// The socket is not there any more.
pub async fn taken(process: &Process, path: &Path, listening: OwnedFd) -> io::Result<Accepts> {
    let connection = socket::connect(path)?.into();
    let pulse = Pulse::new();
    let mut tick = LISTEN_TICK;
    while has_waiting(&listening)? {
        pulse.pause(tick).await;
        tick = (tick * 3 / 2).min(LAST_TICK);
    }
    let listener = Arc::new(Listener::passed_on(process.clone(), path, std::process::id()));
    Ok(Accepts { address: Address::Unix(path.to_owned()), listener, connection })
}

/// Returns when somebody can connect to `path`, where a daemon that is gone had made the socket that was passed on to
/// `process`. Does not end by itself, as [`Watch::ready`].
pub async fn passed_on(process: &Process, path: &Path, by: u32) -> Accepts {
    let listener = Arc::new(Listener::passed_on(process.clone(), path, by));
    let pulse = Pulse::new();
    loop {
        if let Some(connection) = connect_unix(path).filter(|found| listener.is_behind(found.as_fd())) {
            return Accepts { address: Address::Unix(path.to_owned()), listener, connection };
        }
        pulse.pause(LAST_TICK).await;
    }
}

/// Whether a connection waits to be accepted: accept(2) says that a listening socket is then readable.
fn has_waiting(listening: &OwnedFd) -> io::Result<bool> {
    let mut asked = [PollFd::new(listening, PollFlags::IN)];
    rustix::event::poll(&mut asked, Some(&Timespec::default()))?;
    Ok(asked[0].revents().contains(PollFlags::IN))
}

/// Where a process accepts connections.
#[derive(Debug)]
pub struct Accepts {
    /// Where to connect.
    pub address: Address,
    /// Knows later whether it is still the process that does.
    pub listener: Arc<Listener>,
    /// The connection that showed it.
    pub connection: OwnedFd,
}

/// An address to try.
struct Probe {
    address: Address,
    listener: Listener,
}

impl Probe {
    fn new(process: &Process, address: Address) -> Self {
        Self { listener: Listener::bound(process.clone(), &address), address }
    }

    fn is_behind(&self, connection: &OwnedFd) -> bool {
        self.listener.is_behind(connection.as_fd())
    }

    fn accepts(self, connection: OwnedFd) -> Accepts {
        Accepts { address: self.address, listener: Arc::new(self.listener), connection }
    }
}

fn connect_unix(path: &Path) -> Option<OwnedFd> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket { socket::connect(path).ok().map(OwnedFd::from) } else { None }
}

async fn connect_tcp(port: u16) -> Option<OwnedFd> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    stream.into_std().ok().map(OwnedFd::from)
}
