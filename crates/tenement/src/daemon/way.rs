//! The way from a daemon that leaves to whoever serves: its successor, and if that is killed or followed itself, the next.
//!
//! ```text
//!   lets go ─► Door: way.PID in the data directory ─► leaves ─► its end, and the door is removed
//!                ▲                                      │ which are in use, connections
//!                └── each daemon that starts: connects  ▼
//!                                 the keeper's relay ─► the newest that has connected
//! ```
//!
//! Nobody in between is needed for it: a daemon that takes over after a kill finds those that leave as one does that takes
//! over in order, under the same keeper or another one.

use std::{
    collections::VecDeque,
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, net::UnixStream},
    },
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::Duration,
};

use tenement_core::{layout, name::InstanceName, time::Millis};
use tenement_proxy::{Moved, Successor};
use tenement_runtime::{
    clock,
    keeper::{Note, Relay},
};
use tokio::{net::UnixListener, sync::oneshot};

/// Connections that are to go over wait so long for somebody who takes them, as new ones do in the kernel's queue.
const HOLD: Duration = Duration::from_secs(10);
/// How long to wait when no descriptor is left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Where a daemon that leaves is found. Dropping it removes it.
pub(super) struct Door {
    path: PathBuf,
    listener: UnixListener,
}

impl Door {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(format!("{}{}", layout::WAY, std::process::id()));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // Of a process that had this number.
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        Ok(Self { path, listener })
    }

    /// Who comes next.
    async fn next(&self) -> Relay {
        loop {
            let accepted = self.listener.accept().await.and_then(|(stream, _)| {
                let ours = rustix::process::geteuid().as_raw();
                let stream =
                    Some(stream).filter(|stream| stream.peer_cred().is_ok_and(|peer| peer.uid() == ours));
                stream.map(into_blocking).transpose()
            });
            match accepted {
                Ok(Some(stream)) => return Relay::over(stream.into()),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "a daemon that takes over can't be let in now");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }
}

fn into_blocking(stream: tokio::net::UnixStream) -> io::Result<UnixStream> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The doors of daemons that leave, and of some that did not come to remove theirs.
pub(super) fn doors(dir: &Path) -> Vec<PathBuf> {
    let is_door = |entry: &fs::DirEntry| entry.file_name().as_bytes().starts_with(layout::WAY.as_bytes());
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(is_door).map(|entry| entry.path()).collect()
}

/// The way from the daemon behind a door, if there is one.
pub(super) fn connect(door: &Path) -> Option<OwnedFd> {
    match UnixStream::connect(door) {
        Ok(stream) => Some(stream.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            // It was killed.
            let _ = fs::remove_file(door);
            None
        }
        Err(error) => {
            let door = door.display();
            tracing::warn!(%error, "a daemon that leaves can't be reached at '{door}': what it still uses may fall asleep");
            None
        }
    }
}

/// The way. A thread writes, so that nobody who has something to say waits.
#[derive(Clone)]
pub(super) struct Way(mpsc::Sender<Said>);

enum Said {
    /// All that is in use here.
    InUse(Vec<InstanceName>),
    Connection(Moved),
    /// Another one serves now.
    Renewed(Relay),
    /// To be answered when no connection waits any more.
    Empty(oneshot::Sender<()>),
}

impl Way {
    pub(super) fn over(relay: Relay) -> Self {
        let (sender, said) = mpsc::channel();
        let writer = Writer {
            relay: Some(relay),
            in_use: None,
            waiting: VecDeque::new(),
            since: Millis(0),
            replies: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("relay".into());
        if let Err(error) = thread.spawn(move || writer.run(&said)) {
            tracing::error!(%error, "connections can't go over");
        }
        Self(sender)
    }

    pub(super) fn in_use(&self, instances: Vec<InstanceName>) {
        let _ = self.0.send(Said::InUse(instances));
    }

    /// Lets in whoever serves from now on. Does not return.
    pub(super) async fn renew(&self, door: Option<Door>) {
        let Some(door) = door else { return std::future::pending().await };
        loop {
            let relay = door.next().await;
            let _ = self.0.send(Said::Renewed(relay));
        }
    }

    /// Returns when every connection was taken, or had its time.
    pub(super) async fn emptied(&self) {
        let (reply, empty) = oneshot::channel();
        let _ = self.0.send(Said::Empty(reply));
        let _ = empty.await;
    }
}

impl Successor for Way {
    fn take(&self, moved: Moved) {
        // Closed with the way.
        let _ = self.0.send(Said::Connection(moved));
    }
}

struct Writer {
    /// None once the one at the other end is gone.
    relay: Option<Relay>,
    in_use: Option<Vec<InstanceName>>,
    /// Connections that nobody has taken yet, since when.
    waiting: VecDeque<Moved>,
    since: Millis,
    replies: Vec<oneshot::Sender<()>>,
}

impl Writer {
    fn run(mut self, said: &Receiver<Said>) {
        loop {
            let next = match self.waiting.is_empty() {
                true => said.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => said.recv_timeout(self.since.after(HOLD).since(clock::now())),
            };
            match next {
                Ok(Said::InUse(instances)) => {
                    self.in_use = Some(instances);
                    self.tell();
                }
                Ok(Said::Connection(moved)) => {
                    if self.waiting.is_empty() {
                        self.since = clock::now();
                    }
                    self.waiting.push_back(moved);
                }
                Ok(Said::Renewed(relay)) => {
                    // It is told before the one before it hears that there is nothing more for it.
                    let before = self.relay.replace(relay);
                    self.tell();
                    drop(before);
                }
                Ok(Said::Empty(reply)) => self.replies.push(reply),
                Err(RecvTimeoutError::Timeout) => {
                    tracing::warn!(
                        count = self.waiting.len(),
                        "nobody takes connections over: they are closed"
                    );
                    self.waiting.clear();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.give();
        }
    }

    fn tell(&mut self) {
        if let Some(instances) = self.in_use.clone() {
            self.send(&Note::InUse { instances }, None);
        }
    }

    fn give(&mut self) {
        while let Some(moved) = self.waiting.pop_front() {
            if !self.send(&Note::Connection { peer: moved.peer }, Some(&moved)) {
                return self.waiting.push_front(moved);
            }
        }
        for reply in self.replies.drain(..) {
            let _ = reply.send(());
        }
    }

    /// Whether it was heard, as far as can be known.
    fn send(&mut self, note: &Note, moved: Option<&Moved>) -> bool {
        let Some(relay) = &mut self.relay else { return false };
        let (data, connection) = moved.map(|moved| (&moved.received[..], moved.connection.as_fd())).unzip();
        let sent = relay.send(note, data.unwrap_or_default(), connection);
        if let Err(error) = &sent {
            tracing::info!(%error, "the successor is gone: waiting for the next one");
            self.relay = None;
        }
        sent.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(relay: &mut Relay) -> Note {
        relay.receive().unwrap().unwrap().note
    }

    // faults: D10
    #[test]
    fn who_comes_next_is_told_what_is_in_use_and_given_what_nobody_took() {
        let pair = || {
            let (ours, theirs) = UnixStream::pair().unwrap();
            (Relay::over(ours.into()), Relay::over(theirs.into()))
        };
        let (ours, theirs) = pair();
        let way = Way::over(ours);
        drop(theirs);
        let peer = [127, 0, 0, 1].into();
        let (_client, server) = UnixStream::pair().unwrap();
        way.take(Moved { connection: server.into(), peer, received: b"GET".to_vec() });
        let instances: Vec<InstanceName> = vec!["app:a".parse().unwrap()];
        way.in_use(instances.clone());
        let (ours, mut theirs) = pair();
        let _ = way.0.send(Said::Renewed(ours));
        assert_eq!(said(&mut theirs), Note::InUse { instances });
        let moved = theirs.receive().unwrap().unwrap();
        assert_eq!((moved.note, moved.data.as_slice()), (Note::Connection { peer }, &b"GET"[..]));
        assert!(moved.connection.is_some());
        let (ours, mut next) = pair();
        let _ = way.0.send(Said::Renewed(ours));
        assert!(matches!(said(&mut next), Note::InUse { .. }));
        assert!(theirs.receive().unwrap().is_none(), "it hears nothing more");
    }
}
