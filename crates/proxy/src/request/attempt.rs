//! A request from its head to its answer, with as many attempts as are safe.
//!
//! | what happened | sent again? |
//! |---|---|
//! | no connection, or nothing could be sent | always: nobody has seen the request |
//! | sent, nothing came back, on a connection kept from earlier | if idempotent and still there as a whole |
//! | sent, nothing came back, on a new connection | as above, but once: the request may be what kills it |
//! | anything came back | never |
//!
//! A run that was found broken is named to whoever wakes instances, so the next attempt waits for the restart.

use std::{
    pin::pin,
    rc::Rc,
    time::{Duration, Instant},
};

use tenement_core::slot::{Lease, RunId, Slot, StatusClass};
use tenement_runtime::clock;

use super::{
    Client, Next,
    answer::Answer,
    connect::{self, Failed},
    download::{Awaited, Delivered, Signals},
    forward::{Broken, Exchange, forward, watch},
    route::{self, Target},
    upgrade::{self, Ends},
    upload::Upload,
    wake::{self, Waiting},
};
use crate::{
    handover::Phase,
    http::{Method, RequestHead, is_fit_for_control},
    io::Buffer,
};

/// Attempts in which nobody has seen the request.
const UNSEEN: usize = 6;
/// Attempts after a new connection ended without an answer.
const UNANSWERED: usize = 1;

/// As nginx counts a client that left before its answer.
const CLIENT_GONE: u16 = 499;

/// When to come back to a daemon that is restarted.
const RESTARTED: Duration = Duration::from_secs(5);

/// One request and what became of its attempts.
struct Request<'a> {
    head: &'a RequestHead,
    upload: Upload,
    target: Target,
    started: Instant,
    unseen: usize,
    unanswered: usize,
    /// The run to keep away from.
    failed: Option<RunId>,
    /// A kept connection turned out dead: no other of them is tried.
    stale: bool,
    /// Until the first byte of its answer.
    waiting: Waiting,
}

/// How an attempt ended.
enum Outcome {
    Answered(Delivered),
    Again,
    Refused(Answer),
    /// Without an answer; counted as this status.
    Over(u16, Next),
}

/// Serves one request.
pub(super) async fn serve(client: &mut Client, head: &RequestHead) -> Next {
    let thread = Rc::clone(&client.thread);
    let started = clock::instant();
    let upload = match Upload::begin(head, &mut client.buffer, &mut client.request) {
        Ok(upload) => upload,
        Err(malformed) => {
            let answer = Answer::of(malformed).fit(&client.request, &thread.backend.routes().load());
            return client.refuse(&answer).await;
        }
    };
    let target = match target(client, head) {
        Ok(target) => target,
        Err(answer) => return own_answer(client, head, &upload, answer).await,
    };
    let mut request = Request {
        head,
        upload,
        target,
        started,
        unseen: 0,
        unanswered: 0,
        failed: None,
        stale: false,
        waiting: None,
    };
    loop {
        let failed = request.failed.take();
        let by = wake::by(&request.target, &client.request);
        let leasing = wake::lease(&thread, &request.target, failed, &mut request.waiting, by);
        let lease = match unless_gone(client, leasing).await {
            Leased::Done(Ok(lease)) => lease,
            Leased::Left => {
                client.request = request.restore(client);
                return Next::Move;
            }
            Leased::Gone => {
                if let Target::Instance(slot) = &request.target {
                    request.count(slot, CLIENT_GONE, 0);
                }
                return Next::Reset;
            }
            Leased::Done(Err(answer)) => {
                if let Target::Instance(slot) = &request.target {
                    request.count(slot, answer.status, 0);
                }
                return own_answer(client, head, &request.upload, answer).await;
            }
        };
        let outcome = request.attempt(client, lease.as_ref()).await;
        let (status, bytes, next) = match outcome {
            Outcome::Again => continue,
            Outcome::Answered(delivered) => {
                let next = request.after(&delivered);
                (delivered.status, delivered.bytes, next)
            }
            Outcome::Refused(answer) => {
                let status = answer.status;
                (status, 0, own_answer(client, head, &request.upload, answer).await)
            }
            Outcome::Over(status, next) => (status, 0, next),
        };
        if let Some(lease) = lease {
            request.count(lease.slot(), status, bytes);
            lease.end(clock::now());
        }
        return next;
    }
}

/// What became of waiting for a lease.
enum Leased<T> {
    Done(T),
    /// The client left.
    Gone,
    /// It is somebody else's now to wake instances.
    Left,
}

/// Waits for a lease while the client waits: one that left must not keep a place in the queue, and least of all
/// have its request carried out.
async fn unless_gone<T>(client: &mut Client, leasing: impl Future<Output = T>) -> Leased<T> {
    let signals = Signals::default();
    let leasing = pin!(leasing);
    let leasing = client.tether.unless_moved(|| client.thread.is_leaving(), leasing);
    let gone = async {
        if watch(&client.stream, &mut client.buffer, &signals).await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    let leased = tokio::select! {
        biased;
        leased = leasing => leased.map_or(Leased::Left, Leased::Done),
        () = gone => Leased::Gone,
    };
    client.ended |= signals.half_closed.get().is_some();
    leased
}

/// Who is to answer; after the drain had begun, only the daemon itself.
fn target(client: &Client, head: &RequestHead) -> Result<Target, Answer> {
    match route::find(&client.thread.backend.routes().load(), &head.host)? {
        Target::Control if !is_fit_for_control(&client.request) => {
            Err(Answer::new(400, "the request target has characters that must be escaped"))
        }
        Target::Control => Ok(Target::Control),
        _ if client.late => Err(Answer::unavailable("tenement is shutting down", RESTARTED)),
        target => Ok(target),
    }
}

/// Answers in place of the application.
async fn own_answer(client: &mut Client, head: &RequestHead, upload: &Upload, answer: Answer) -> Next {
    let answer = answer.fit(&client.request, &client.thread.backend.routes().load());
    let close = !head.keep_alive || !upload.is_done() || client.thread.draining.get();
    if head.method == Method::Head {
        answer.write_without_body(&mut client.reply, close);
    } else {
        answer.write(&mut client.reply, close);
    }
    let stall = client.thread.config.limits.stall;
    let sending = client.stream.write_all(&client.reply);
    match client.watchdog.sending(stall, &client.stream, sending).await {
        Ok(Ok(())) if !close => Next::Keep,
        Ok(Ok(())) => Next::Linger,
        _ => Next::Close,
    }
}

impl Request<'_> {
    async fn attempt(&mut self, client: &mut Client, lease: Option<&Lease>) -> Outcome {
        let thread = Rc::clone(&client.thread);
        let upstream = lease.map(|lease| &**lease.upstream());
        let run = upstream.map(|upstream| upstream.run);
        let connected = connect::connect(&thread, upstream, self.stale, &mut client.watchdog).await;
        let connection = match connected {
            Ok(connection) => connection,
            Err(failed) => return self.unconnected(run, &failed),
        };
        let limits = &thread.config.limits;
        let (patience, stall) = match lease {
            Some(lease) => (lease.slot().service().request_timeout, limits.stall),
            None => {
                client.stream.bound_waiting();
                (limits.control, limits.control_stall)
            }
        };
        let mut buffer = Buffer::default();
        let awaited = lease.map(|lease| Awaited { waiting: &mut self.waiting, wakes: lease.slot().wakes() });
        let exchange = Exchange { head: self.head, connection: &connection, patience, stall, awaited };
        let forwarded = forward(client, exchange, &mut self.upload, &mut buffer).await;
        match forwarded {
            Ok(mut delivered) if delivered.status == 101 => {
                client.tether.phase.set(Phase::Tunnel);
                let ends = Ends {
                    client: &client.stream,
                    ahead: &mut client.buffer,
                    upstream: &connection.stream,
                    first: &mut buffer,
                };
                let traffic = lease.map(|lease| &lease.slot().traffic);
                let (up, down) = upgrade::tunnel(&thread, ends, traffic).await;
                self.upload.bytes += up;
                delivered.bytes = down;
                delivered.closing = true;
                Outcome::Answered(delivered)
            }
            Ok(delivered) => {
                if delivered.upstream_keeps && self.upload.is_done() {
                    thread.pool.put(run, connection.stream);
                }
                Outcome::Answered(delivered)
            }
            Err(broken) => self.broken(broken, connection.reused, run),
        }
    }

    fn unconnected(&mut self, run: Option<RunId>, failed: &Failed) -> Outcome {
        match failed {
            Failed::TimedOut => Outcome::Refused(Answer::new(504, "the instance accepts no connection")),
            Failed::Broken(_) if run.is_none() => {
                Outcome::Refused(Answer::new(503, "tenement is shutting down"))
            }
            Failed::Broken(error) => {
                tracing::debug!(%error, "no connection to an instance");
                self.again_unseen(run)
            }
        }
    }

    fn again_unseen(&mut self, run: Option<RunId>) -> Outcome {
        self.unseen += 1;
        if self.unseen > UNSEEN {
            return Outcome::Refused(Answer::new(502, "the instance takes no request"));
        }
        self.failed = run;
        Outcome::Again
    }

    fn broken(&mut self, broken: Broken, reused: bool, run: Option<RunId>) -> Outcome {
        let replayable = self.head.method.is_idempotent() && !self.upload.pumped;
        match broken {
            Broken::Unsent | Broken::Silent if reused && (replayable || matches!(broken, Broken::Unsent)) => {
                self.stale = true;
                Outcome::Again
            }
            Broken::Unsent => self.again_unseen(run),
            Broken::Silent if replayable && self.unanswered < UNANSWERED => {
                self.unanswered += 1;
                self.failed = run;
                Outcome::Again
            }
            Broken::Silent => Outcome::Refused(Answer::new(502, "the instance ended without an answer")),
            Broken::BadAnswer(why) => {
                let why = format!("the instance sent a malformed answer: {why}");
                Outcome::Refused(Answer::new(502, why))
            }
            Broken::TimedOut => Outcome::Refused(Answer::new(504, "the instance did not answer in time")),
            Broken::Request(answer) => Outcome::Refused(answer),
            Broken::ClientGone => Outcome::Over(CLIENT_GONE, Next::Reset),
            Broken::Truncated => Outcome::Over(502, Next::Reset),
        }
    }

    /// The request as it came, as far as it was read. As it may be sent again, what was read is all there.
    fn restore(&self, client: &Client) -> Vec<u8> {
        let mut bytes = self.head.restore(&client.request, &client.peer);
        self.upload.reopen(&mut bytes);
        bytes
    }

    /// What follows an answer.
    fn after(&self, delivered: &Delivered) -> Next {
        match delivered.closing {
            false => Next::Keep,
            // The client of a tunnel may send when the application has left already.
            true if delivered.status == 101 || !self.upload.is_done() => Next::Linger,
            true => Next::Close,
        }
    }

    fn count(&self, slot: &Slot, status: u16, bytes_out: u64) {
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        slot.traffic.count(StatusClass::of(status), micros, self.upload.bytes, bytes_out);
    }
}
