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
    collections::HashSet,
    fs, io,
    net::Ipv4Addr,
    os::{fd::OwnedFd, unix::fs::FileTypeExt},
    path::Path,
    time::Duration,
};

use rustix::fs::inotify;
use tenement_core::slot::Address;
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::{TcpStream, UnixStream},
};

use crate::{event, process::Process};

const FIRST_TICK: Duration = Duration::from_millis(1);
const LAST_TICK: Duration = Duration::from_millis(5);
/// Tries without a pause after the socket appeared: `listen(2)` follows `bind(2)` within microseconds.
const EAGER_TRIES: u32 = 32;

/// Watches for a socket to appear.
#[derive(Debug)]
pub struct Watch {
    events: Option<AsyncFd<OwnedFd>>,
}

impl Watch {
    /// Watches the folder of `socket`. To be made before the process starts. Without inotify it only ticks.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        let watch = || -> io::Result<AsyncFd<OwnedFd>> {
            let events = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
            let what = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
            inotify::add_watch(&events, socket.parent().unwrap_or(Path::new("/")), what)?;
            event::watch(events, Interest::READABLE)
        };
        let events = watch().inspect_err(|error| tracing::debug!(%error, "no inotify, polling instead")).ok();
        Self { events }
    }

    async fn changed(&self) {
        let Some(events) = &self.events else { return std::future::pending().await };
        let Ok(mut ready) = events.readable().await else { return std::future::pending().await };
        let mut buffer = [0_u8; 4096];
        while rustix::io::read(events.get_ref(), &mut buffer).is_ok_and(|read| read > 0) {}
        ready.clear_ready();
    }

    /// Returns when the process accepts on `socket` or on `port` of 127.0.0.1, and which came first. Does not
    /// end by itself: race it against the process's exit and a deadline.
    pub async fn ready(&self, process: &Process, socket: &Path, port: u16) -> Address {
        let mut tick = FIRST_TICK;
        let mut eager = 0;
        loop {
            if accepts_unix(process, socket).await {
                return Address::Unix(socket.to_owned());
            }
            if accepts_tcp(process, port).await {
                return Address::Tcp(port);
            }
            if eager > 0 {
                eager -= 1;
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = self.changed() => eager = EAGER_TRIES,
                () = tokio::time::sleep(tick) => tick = (tick * 2).min(LAST_TICK),
            }
        }
    }
}

async fn accepts_unix(process: &Process, socket: &Path) -> bool {
    // A link could lead to another instance's socket, or to the daemon's own.
    if !fs::symlink_metadata(socket).is_ok_and(|found| found.file_type().is_socket()) {
        return false;
    }
    let Ok(stream) = UnixStream::connect(socket).await else { return false };
    let listener =
        stream.peer_cred().ok().and_then(|peer| peer.pid()).and_then(|pid| u32::try_from(pid).ok());
    let own = listener.is_some_and(|pid| process.owns(pid));
    if !own {
        tracing::warn!(socket = %socket.display(), ?listener, "somebody else listens on the instance's socket");
    }
    own
}

async fn accepts_tcp(process: &Process, port: u16) -> bool {
    if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
        return false;
    }
    owns_listener(process, port)
}

/// Whether a socket listening on `port` is open in a process of the tree: `proc_net(5)`, `proc_pid_fd(5)`.
fn owns_listener(process: &Process, port: u16) -> bool {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let listening: HashSet<String> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .filter_map(|line| inode_of(line, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let open_in = |pid| fs::read_dir(format!("/proc/{pid}/fd"));
    process.members().into_iter().filter_map(|pid| open_in(pid).ok()).flatten().flatten().any(|entry| {
        fs::read_link(entry.path()).is_ok_and(|link| listening.contains(link.to_string_lossy().as_ref()))
    })
}

/// The inode of a line of `/proc/net/tcp` that listens on `port`.
fn inode_of(line: &str, port: u16) -> Option<&str> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let local = fields.get(1)?.rsplit_once(':')?.1;
    let matches = u16::from_str_radix(local, 16) == Ok(port) && *fields.get(3)? == LISTEN;
    matches.then(|| fields.get(9).copied()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listening_socket_on_the_port_counts() {
        let line = "   0: 0100007F:7530 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0";
        assert_eq!(inode_of(line, 30_000), Some("4711"));
        assert_eq!(inode_of(line, 30_001), None);
        assert_eq!(inode_of(&line.replace(" 0A ", " 01 "), 30_000), None);
        assert_eq!(inode_of("", 1), None);
    }
}
