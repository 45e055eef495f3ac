//! One client's connection: request after request, each through its phases.
//!
//! ```text
//!            ┌────────────────────── keep alive ───────────────────────────┐
//!            ▼                                                             │
//!   idle ─► head ─► route ─► wake ─► connect ─► forward ─► (response) ─────┤
//!            │        │        ▲         │         │                       ├─► close
//!            │ bad    │ 404    └─ again ─┴─────────┤ nothing came back,    │
//!            ▼        ▼           where it is safe │ may be sent again     │
//!          answer and close                        └─► upgrade: tunnel ────┘
//! ```
//!
//! Where somebody else takes over, a connection is moved from "idle", "head" and "wake".

mod answer;
mod attempt;
mod connect;
mod download;
mod forward;
mod head;
mod route;
mod upgrade;
mod upload;
mod wake;

use std::{
    cell::{Cell, OnceCell},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use crate::{
    backend::Backend,
    config::Config,
    handover::{Moved, Successor, Tether},
    http::Peer,
    io::{Buffer, Stream, Watchdog},
};
use answer::Answer;
use connect::Pool;

/// What the requests of one thread share.
pub(crate) struct Thread {
    config: Config,
    backend: Arc<dyn Backend>,
    pool: Rc<Pool>,
    draining: Cell<bool>,
    cut: Cell<bool>,
    cutting: Notify,
    /// Takes every connection that can be moved.
    successor: OnceCell<Arc<dyn Successor>>,
}

impl Thread {
    pub(crate) fn new(config: Config, backend: Arc<dyn Backend>) -> Self {
        Self {
            config,
            backend,
            pool: Rc::default(),
            draining: Cell::new(false),
            cut: Cell::new(false),
            cutting: Notify::new(),
            successor: OnceCell::new(),
        }
    }

    /// From now on every answer is its connection's last.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// From now on connections are moved as soon as they can be. Those that wait have to be told.
    pub(crate) fn leave(&self, successor: Arc<dyn Successor>) {
        let _ = self.successor.set(successor);
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.successor.get().is_some()
    }

    /// Tunnels say goodbye and end.
    pub(crate) fn cut(&self) {
        self.cut.set(true);
        self.cutting.notify_waiters();
    }

    /// Returns once that was said.
    async fn cut_off(&self) {
        if !self.cut.get() {
            self.cutting.notified().await;
        }
    }
}

/// A client and what it has sent.
struct Client {
    thread: Rc<Thread>,
    stream: Stream,
    address: IpAddr,
    peer: Peer,
    /// Read and not yet used.
    buffer: Buffer,
    watchdog: Watchdog,
    /// What goes to the application: a head and what was there of the body.
    request: Vec<u8>,
    /// What goes to the client: a head and maybe some of the body.
    reply: Vec<u8>,
    /// Will send nothing more.
    ended: bool,
    /// Came after the drain had begun: for the control plane only.
    late: bool,
    tether: Rc<Tether>,
}

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Another request may come.
    Keep,
    /// The client has its answer; nothing more is read.
    Close,
    /// As `Close`, but the client may still be sending: it must not lose its answer to a reset.
    Linger,
    /// The answer broke off; the client must not take it for the whole.
    Reset,
    /// Somebody else answers what is in `request`, and whatever follows.
    Move,
}

/// Capacity of the byte vectors that a connection keeps between requests.
const KEPT: usize = 16 << 10;
/// What is read and thrown away of a client that is still sending after its last answer.
const LINGER: (Duration, usize) = (Duration::from_secs(2), 16 << 20);

/// Serves one connection, of which `buffer` was read already, until its end or until it is moved.
pub(crate) async fn serve(
    thread: Rc<Thread>,
    stream: Stream,
    address: IpAddr,
    buffer: Buffer,
    tether: Rc<Tether>,
) {
    let peer = Peer::new(address, &thread.config.trusted_proxies);
    let watchdog = Watchdog::new(thread.config.limits.idle);
    let late = thread.is_draining();
    let mut client = Client {
        thread,
        stream,
        address,
        peer,
        buffer,
        watchdog,
        request: Vec::new(),
        reply: Vec::new(),
        ended: false,
        late,
        tether,
    };
    loop {
        let next = match head::read(&mut client).await {
            head::Read::Request(head) => attempt::serve(&mut client, &head).await,
            head::Read::Refused(answer) => client.refuse(&answer).await,
            head::Read::Ended => return,
            head::Read::Left => {
                client.request.clear();
                Next::Move
            }
        };
        match next {
            Next::Keep if !client.ended || !client.buffer.is_empty() => client.shrink(),
            Next::Keep | Next::Close => return,
            Next::Linger => return client.linger().await,
            Next::Reset => return client.stream.reset_on_close(),
            Next::Move => return client.move_on(),
        }
    }
}

impl Client {
    /// Answers by itself, as the last answer of the connection.
    async fn refuse(&mut self, answer: &Answer) -> Next {
        answer.write(&mut self.reply, true);
        let sending = self.stream.write_all(&self.reply);
        match self.watchdog.sending(self.thread.config.limits.stall, &self.stream, sending).await {
            Ok(Ok(())) => Next::Linger,
            _ => Next::Close,
        }
    }

    /// Gives the connection to the successor.
    fn move_on(self) {
        let Self { thread, stream, address, mut request, buffer, .. } = self;
        request.extend_from_slice(&buffer);
        match (stream.into_fd(), thread.successor.get()) {
            (Ok(connection), Some(successor)) => {
                successor.take(Moved { connection, peer: address, received: request });
            }
            (Ok(_), None) => {}
            (Err(error), _) => tracing::warn!(%error, "a connection could not be handed over"),
        }
    }

    /// Gives back what an unusually large request took.
    fn shrink(&mut self) {
        for bytes in [&mut self.request, &mut self.reply] {
            if bytes.capacity() > KEPT {
                *bytes = Vec::new();
            }
        }
    }

    /// Closing while bytes are unread resets the connection, and a reset overtakes the answer.
    async fn linger(mut self) {
        self.stream.shutdown();
        let (within, mut left) = LINGER;
        let discard = async {
            while left > 0 {
                let read = self.buffer.len();
                self.buffer.consume(read);
                match self.buffer.fill(&self.stream, true).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => left = left.saturating_sub(read),
                }
            }
        };
        let _ = timeout(within, discard).await;
    }
}
