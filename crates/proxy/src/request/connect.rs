//! Phase "connect": a connection to an instance, kept alive from an earlier request or new.
//!
//! Connections are kept by run: one of an earlier process can never be taken for the present one's.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

use tenement_core::{
    slot::{Address, RunId, Upstream},
    time::Millis,
};
use tenement_runtime::{clock, socket};
use tokio::net::{TcpStream, UnixStream};

use super::Thread;
use crate::io::{Stream, TimedOut, Watchdog};

/// Connections kept per run.
const KEPT: usize = 64;
/// How long a connection is kept without a request. Under load it is used again within a millisecond; without,
/// a new one costs microseconds. But an application that serves only so many connections at a time can't serve
/// anybody else on the place of an idle one; and one that closes idle connections does so after seconds, so the
/// end of a kept one is hardly ever on its way when the next request is sent.
const IDLE: Duration = Duration::from_millis(100);
/// How often connections that were kept too long are looked for.
const SWEEP: Duration = Duration::from_millis(50);

/// An open connection to an application or the control plane.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Stream,
    /// It has carried a request before.
    pub(super) reused: bool,
}

/// Idle connections of one thread.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// By run; those of the control plane under `None`.
    idle: RefCell<HashMap<Option<RunId>, Vec<Kept>>>,
    swept: Cell<bool>,
}

/// A connection and when it was last used.
type Kept = (Stream, Millis);

impl Pool {
    fn take(&self, run: Option<RunId>) -> Option<Stream> {
        let mut idle = self.idle.borrow_mut();
        let streams = idle.get_mut(&run)?;
        let oldest = Millis(clock::now().0.saturating_sub(IDLE.as_millis() as u64));
        while let Some((stream, _)) = streams.pop_if(|(_, used)| *used >= oldest) {
            if is_quiet(&stream) {
                return Some(stream);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(self: &Rc<Self>, run: Option<RunId>, stream: Stream) {
        let mut idle = self.idle.borrow_mut();
        let streams = idle.entry(run).or_default();
        if streams.len() < KEPT {
            streams.push((stream, clock::now()));
        }
        if !self.swept.replace(true) {
            tokio::task::spawn_local(sweep(Rc::clone(self)));
        }
    }
}

/// An application that says something unasked, or has closed, is not to be used.
fn is_quiet(stream: &Stream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Closes what is kept too long; ends when nothing is kept.
async fn sweep(pool: Rc<Pool>) {
    while !pool.idle.borrow().is_empty() {
        tokio::time::sleep(SWEEP).await;
        let now = clock::now();
        pool.idle.borrow_mut().retain(|_, streams| {
            streams.retain(|(stream, used)| used.after(IDLE) > now && is_quiet(stream));
            !streams.is_empty()
        });
    }
    pool.swept.set(false);
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Failed {
    /// Refused, or the socket is gone: this run is broken.
    Broken(io::Error),
    /// Nobody accepts.
    TimedOut,
}

/// A connection to `upstream`; to the control plane without one. `fresh`: not one that was kept.
pub(super) async fn connect(
    thread: &Thread,
    upstream: Option<&Upstream>,
    fresh: bool,
    watchdog: &mut Watchdog,
) -> Result<Connection, Failed> {
    let kept = || thread.pool.take(upstream.map(|upstream| upstream.run));
    if let Some(stream) = if fresh { None } else { kept() } {
        return Ok(Connection { stream, reused: true });
    }
    let opened = match upstream {
        None => open_control(thread),
        Some(upstream) if let Some(connection) = upstream.opened.take() => adopt(upstream, connection),
        Some(upstream) => watchdog
            .within(thread.config.limits.connect, open(upstream))
            .await
            .map_err(|TimedOut| Failed::TimedOut)?,
    };
    opened.map(|stream| Connection { stream, reused: false }).map_err(Failed::Broken)
}

fn open_control(thread: &Thread) -> io::Result<Stream> {
    let stream = thread.backend.control()?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream).map(Stream::Unix)
}

/// Takes over the connection that showed that the instance accepts.
fn adopt(upstream: &Upstream, connection: OwnedFd) -> io::Result<Stream> {
    match &upstream.address {
        Address::Unix(_) => UnixStream::from_std(connection.into()).map(Stream::Unix),
        Address::Tcp(_) => {
            let stream = TcpStream::from_std(connection.into())?;
            stream.set_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        }
    }
}

async fn open(upstream: &Upstream) -> io::Result<Stream> {
    let stream = match &upstream.address {
        Address::Tcp(port) => {
            let stream = TcpStream::connect(("127.0.0.1", *port)).await?;
            stream.set_nodelay(true)?;
            Stream::Tcp(stream)
        }
        Address::Unix(path) => {
            let stream = socket::connect_in_turn(path).await?;
            Stream::Unix(UnixStream::from_std(stream)?)
        }
    };
    if upstream.identity.is_behind(stream.as_fd()) {
        return Ok(stream);
    }
    tracing::warn!(address = ?upstream.address, "somebody else listens where an instance did: nothing is sent there");
    Err(io::Error::other("somebody else listens in its place"))
}
