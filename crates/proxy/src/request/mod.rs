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

use std::{cell::Cell, net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::timeout};

use crate::{
    backend::Backend,
    config::Config,
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
}

/// What a connection is in the midst of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A request, or its head.
    #[default]
    Busy,
    /// Nothing: it waits for a request.
    Idle,
    /// A WebSocket, which ends by itself when [`Thread::cut`] says so.
    Tunnel,
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
        }
    }

    /// From now on every answer is its connection's last.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
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
    phase: Rc<Cell<Phase>>,
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
}

/// Capacity of the byte vectors that a connection keeps between requests.
const KEPT: usize = 16 << 10;
/// What is read and thrown away of a client that is still sending after its last answer.
const LINGER: (Duration, usize) = (Duration::from_secs(2), 16 << 20);

/// Serves one connection until its end. `phase` says how it can be ended earlier.
pub(crate) async fn serve(thread: Rc<Thread>, stream: Stream, address: IpAddr, phase: Rc<Cell<Phase>>) {
    let peer = Peer::new(address, &thread.config.trusted_proxies);
    let watchdog = Watchdog::new(thread.config.limits.idle);
    let late = thread.is_draining();
    let mut client = Client {
        thread,
        stream,
        peer,
        buffer: Buffer::default(),
        watchdog,
        request: Vec::new(),
        reply: Vec::new(),
        ended: false,
        late,
        phase,
    };
    loop {
        let next = match head::read(&mut client).await {
            head::Read::Request(head) => attempt::serve(&mut client, &head).await,
            head::Read::Refused(answer) => client.refuse(&answer).await,
            head::Read::Ended => return,
        };
        match next {
            Next::Keep if !client.ended || !client.buffer.is_empty() => client.shrink(),
            Next::Keep | Next::Close => return,
            Next::Linger => return client.linger().await,
            Next::Reset => return client.stream.reset_on_close(),
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
