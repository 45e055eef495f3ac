//! How one process takes the place of another without closing a connection.
//!
//! ```text
//!   predecessor                                                    successor
//!   no thread accepts any more                                     accepts from the same sockets
//!   idle, or within a head ─────────────────────────┐
//!   waits for an instance to be woken ──────────────┼─► Moved ──► serves it as if just accepted
//!   forwarded ─► answered, connection is kept ──────┘
//!   tunnels, the last answers ─► their end, or Cut
//! ```
//!
//! Who waits at a place where it can be moved looks at one flag of its thread each time it is polled, and leaves its
//! waker with its [`Tether`]. Nothing else is done for it while nobody takes over.

use std::{
    cell::Cell,
    fmt,
    future::poll_fn,
    net::IpAddr,
    os::fd::OwnedFd,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Poll, Waker},
};

/// A client's connection that changes hands, with no request forwarded on it that was not answered.
#[derive(Debug)]
pub struct Moved {
    /// The connected socket, non-blocking.
    pub connection: OwnedFd,
    /// The other end, as accept(2) told.
    pub peer: IpAddr,
    /// Read of it and not answered yet; what comes next is still in the socket. Usually nothing, and at most some
    /// hundred KiB. A head that was parsed already may be spelled otherwise than it came, but means the same.
    pub received: Vec<u8>,
}

/// Who serves connections from now on.
pub trait Successor: Send + Sync {
    /// Takes one. Called on the threads that serve, so it must not wait for anything; what it drops is closed.
    fn take(&self, moved: Moved);
}

/// The successor, once there is one. Shared by all threads.
#[derive(Clone, Default)]
pub(crate) struct Heir(Arc<OnceLock<Arc<dyn Successor>>>);

impl Heir {
    /// The first one stays.
    pub(crate) fn set(&self, successor: Arc<dyn Successor>) {
        let _ = self.0.set(successor);
    }

    pub(crate) fn get(&self) -> Option<&Arc<dyn Successor>> {
        self.0.get()
    }
}

impl fmt::Debug for Heir {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Heir({})", self.0.get().is_some())
    }
}

/// What a connection is in the midst of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A request, or its head.
    #[default]
    Busy,
    /// Nothing: it waits for a request.
    Idle,
    /// A WebSocket, which ends by itself when it is told to.
    Tunnel,
}

/// What the door knows of a connection that it let in.
#[derive(Default)]
pub(crate) struct Tether {
    pub(crate) phase: Cell<Phase>,
    waker: Cell<Option<Waker>>,
}

impl Tether {
    /// Has the connection look again at whether it is to be moved.
    pub(crate) fn pull(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits for `future` unless the connection `is_to_move`, of which [`Self::pull`] tells.
    pub(crate) fn unless_moved<F: Future>(
        &self,
        is_to_move: impl Fn() -> bool,
        mut future: Pin<&mut F>,
    ) -> impl Future<Output = Option<F::Output>> {
        poll_fn(move |cx| {
            if is_to_move() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(done) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            let waker = self.waker.take().filter(|waker| waker.will_wake(cx.waker()));
            self.waker.set(Some(waker.unwrap_or_else(|| cx.waker().clone())));
            Poll::Pending
        })
    }
}
