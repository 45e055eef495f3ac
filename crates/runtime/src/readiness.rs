//! When a process accepts connections, and where.
//!
//! ```text
//!   inotify on the socket's folder ─┐
//!   a tick, growing to 5 ms ────────┴─► connect ─► does the listener belong to the process? ─► ready
//! ```
//!
//! The folder is watched only while an instance starts, so the number of watches is that of the starts under
//! way. A socket that appears is bound but does not listen yet: listen(2) follows within microseconds, and
//! nothing tells when. Trying again at once would take the processor from the application that is about to
//! call it; so the tick starts anew, much finer.

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
    net::TcpStream,
};

use crate::{event, port_owner, process::Process, pulse::Pulse, socket};

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

    /// Returns when the process accepts on `socket` or on `port` of 127.0.0.1, which came first, and the
    /// connection that shows it. Does not end by itself: race it against the process's exit and a deadline.
    pub async fn ready(&self, process: &Process, socket: &Path, port: u16) -> (Address, OwnedFd) {
        let pulse = Pulse::new();
        let mut tick = FIRST_TICK;
        loop {
            tokio::select! {
                () = self.changed() => tick = LISTEN_TICK,
                () = pulse.pause(tick) => tick = (tick * 2).min(LAST_TICK),
            }
            if let Some(connection) = connect_unix(process, socket) {
                return (Address::Unix(socket.to_owned()), connection);
            }
            if tick < FIRST_TICK {
                continue;
            }
            if let Some(connection) = connect_tcp(process, port).await {
                // An app that listens on both was between the two a moment ago; its socket is the cheaper way.
                return match connect_unix(process, socket) {
                    Some(connection) => (Address::Unix(socket.to_owned()), connection),
                    None => (Address::Tcp(port), connection),
                };
            }
        }
    }
}

fn connect_unix(process: &Process, path: &Path) -> Option<OwnedFd> {
    // A link could lead to another instance's socket, or to the daemon's own.
    if !fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        return None;
    }
    let stream = socket::connect(path).ok()?;
    let listener = socket::listener_pid(&stream);
    if listener.is_some_and(|pid| process.owns(pid)) {
        return Some(stream.into());
    }
    tracing::warn!(socket = %path.display(), ?listener, "somebody else listens on the instance's socket");
    None
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
