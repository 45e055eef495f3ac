//! When a process accepts connections, and where.
//!
//! ```text
//!   inotify on the socket's folder ─┐
//!   a tick, 1 ms growing to 5 ms ───┴─► connect ─► does the listener belong to the process? ─► ready
//! ```
//!
//! The folder is watched only while an instance starts, so the number of watches is that of the starts under
//! way. Timers have a grain of 1 ms; what is faster than that is noticed through inotify.

use std::{
    fs, io,
    net::Ipv4Addr,
    os::{fd::OwnedFd, unix::fs::FileTypeExt},
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::fs::inotify;
use tenement_core::slot::Address;
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::{TcpStream, UnixStream},
};

use crate::{event, port_owner, process::Process};

const FIRST_TICK: Duration = Duration::from_millis(1);
const LAST_TICK: Duration = Duration::from_millis(5);
/// Tries without a pause after the socket appeared: `listen(2)` follows `bind(2)` within microseconds.
const EAGER_TRIES: u32 = 128;

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

    /// Returns when the process accepts on `socket` or on `port` of 127.0.0.1, which came first, and the
    /// connection that shows it. Does not end by itself: race it against the process's exit and a deadline.
    pub async fn ready(&self, process: &Process, socket: &Path, port: u16) -> (Address, OwnedFd) {
        let mut tick = FIRST_TICK;
        let mut eager = 0;
        loop {
            if let Some(connection) = connect_unix(process, socket).await {
                return (Address::Unix(socket.to_owned()), connection);
            }
            if let Some(connection) = connect_tcp(process, port).await {
                // An app that listens on both was between the two a moment ago; its socket is the cheaper way.
                return match connect_unix(process, socket).await {
                    Some(connection) => (Address::Unix(socket.to_owned()), connection),
                    None => (Address::Tcp(port), connection),
                };
            }
            if eager > 0 {
                eager -= 1;
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = self.changed() => (eager, tick) = (EAGER_TRIES, FIRST_TICK),
                () = tokio::time::sleep(tick) => tick = (tick * 2).min(LAST_TICK),
            }
        }
    }
}

async fn connect_unix(process: &Process, socket: &Path) -> Option<OwnedFd> {
    // A link could lead to another instance's socket, or to the daemon's own.
    if !fs::symlink_metadata(socket).is_ok_and(|found| found.file_type().is_socket()) {
        return None;
    }
    let stream = UnixStream::connect(socket).await.ok()?;
    let listener =
        stream.peer_cred().ok().and_then(|peer| peer.pid()).and_then(|pid| u32::try_from(pid).ok());
    let own = listener.is_some_and(|pid| process.owns(pid));
    if !own {
        tracing::warn!(socket = %socket.display(), ?listener, "somebody else listens on the instance's socket");
    }
    if own { stream.into_std().ok().map(OwnedFd::from) } else { None }
}

async fn connect_tcp(process: &Process, port: u16) -> Option<OwnedFd> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    if owns_listener(process, port) { stream.into_std().ok().map(OwnedFd::from) } else { None }
}

/// Whether a socket listening on `port` is open in a process of the tree.
fn owns_listener(process: &Process, port: u16) -> bool {
    let sockets = port_owner::listening(port);
    process.members().into_iter().any(|pid| port_owner::holds(pid, &sockets))
}
