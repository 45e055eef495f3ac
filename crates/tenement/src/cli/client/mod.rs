//! Asks the daemon: over its local socket, or over HTTP with `--server`.
//!
//! ```text
//!   verb ─► Client ─► Target::connect ─► one HTTP/1.1 exchange ─► answer
//!                          │                      │
//!                          └── Error ◄────────────┴── refused, timed out, interrupted
//! ```

mod download;
mod error;
mod shape;
mod stream;
mod target;

use std::{
    cell::{Cell, OnceCell},
    convert::Infallible,
    fmt::Display,
    task::Poll,
    time::Duration,
};

pub(super) use error::Error;
use error::Subject;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
pub(super) use stream::Taken;
pub(super) use target::data_dir;
use target::{Stream, Target};
use tenement_core::time::seconds;
use tenement_runtime::clock;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Mutex,
};

use super::{Failure, Global, output};

/// What a question that changes nothing may take.
const ANSWER: Duration = Duration::from_secs(30);
/// Says of which version the daemon is, on every answer.
const VERSION: &str = "tenement-version";
const OURS: &str = env!("CARGO_PKG_VERSION");
const JSON: &str = "application/json";
/// How long commands are refused at most while one daemon follows another, and how often they are tried then.
const BETWEEN: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(100);
/// The largest answer that is read.
const ANSWER_MAX: usize = 64 << 20;

/// A daemon to ask.
pub(super) struct Client {
    runtime: Option<tokio::runtime::Runtime>,
    target: Target,
    signals: OnceCell<Mutex<Vec<Signal>>>,
    verbose: bool,
    /// How warnings are told; `None` when nobody wants them, or has heard of the version.
    warns: Cell<Option<bool>>,
}

/// A question, and how long its answer may take.
struct Question<'a> {
    method: Method,
    path: &'a str,
    body: Option<&'a Value>,
    accept: &'static str,
    within: Option<Duration>,
}

impl<'a> Question<'a> {
    fn new(method: Method, path: &'a str) -> Self {
        Self { method, path, body: None, accept: JSON, within: None }
    }

    fn get(path: &'a str) -> Self {
        Self { within: Some(ANSWER), ..Self::new(Method::GET, path) }
    }
}

impl Client {
    /// Finds out whom to ask; nothing is sent yet.
    pub(super) fn new(global: &Global) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = Some(runtime.map_err(Failure::general)?);
        let (target, signals) = (Target::find(global)?, OnceCell::new());
        let warns = Cell::new((!global.quiet).then_some(global.json));
        Ok(Self { runtime, target, signals, verbose: global.verbose > 0, warns })
    }

    /// Host and port of the daemon, where it is asked over HTTP.
    pub(super) fn remote(&self) -> Option<&str> {
        match &self.target {
            Target::Local { .. } => None,
            Target::Remote { authority, .. } => Some(authority),
        }
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, Error> {
        self.ask(&Question::get(path))
    }

    /// The text of `/metrics`.
    pub(super) fn get_text(&self, path: &str) -> Result<String, Error> {
        let question = Question { accept: "text/plain", ..Question::get(path) };
        let (status, bytes) = self.raw(&question)?;
        if !status.is_success() {
            self.answer(&question, status, &bytes)?;
        }
        let text = String::from_utf8(bytes.into()).map_err(|error| self.foreign(&error))?;
        match text.starts_with("# ") {
            true => Ok(text),
            false => Err(self.strange("the answer is no metrics")),
        }
    }

    pub(super) fn post(&self, path: &str, body: &Value, within: Option<Duration>) -> Result<Value, Error> {
        self.catch_signals();
        self.ask(&Question { body: Some(body), within, ..Question::new(Method::POST, path) })
    }

    /// Asks for a change; a refusal of what a file says comes as the whole answer, with all that was found.
    pub(super) fn post_file(&self, path: &str) -> Result<Result<Value, Value>, Error> {
        self.catch_signals();
        let question = Question::new(Method::POST, path);
        let (status, bytes) = self.raw(&question)?;
        let refused = serde_json::from_slice::<Value>(&bytes).ok().filter(|_| !status.is_success());
        match refused.filter(|answer| answer["valid"] == false && answer["errors"].is_array()) {
            Some(answer) => Ok(Err(answer)),
            None => self.answer(&question, status, &bytes).map(Ok),
        }
    }

    /// How long a stop takes is the daemon's to say: `stop_timeout` and what is before it in the queue.
    pub(super) fn delete(&self, path: &str) -> Result<Value, Error> {
        self.catch_signals();
        self.ask(&Question::new(Method::DELETE, path))
    }

    /// Says that the daemon's version is another than ours; once.
    pub(super) fn warn_of_version(&self, theirs: &str) {
        if theirs != OURS
            && let Some(as_json) = self.warns.take()
        {
            let mend = "install the same version of both, and restart the daemon after that";
            output::warn(&format!("the daemon is {theirs} and this ten {OURS}: {mend}"), as_json);
        }
    }

    /// Does nothing for a while; Ctrl-C ends it as it ends a question.
    pub(super) fn pause(&self, time: Duration) -> Result<(), Error> {
        self.catch_signals();
        self.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(time) => Ok(()),
                () = self.interrupt() => Err(Error::Interrupted("interrupted".into())),
            }
        })
    }

    /// From now on Ctrl-C and a polite kill are errors of the question under way, so that there is something
    /// to say and to tidy up. Commands that only read never get here, and just end.
    pub(super) fn catch_signals(&self) {
        self.catch(&[SignalKind::interrupt(), SignalKind::terminate()]);
    }

    /// Also those of a terminal that goes away: for who changed what it is in.
    pub(super) fn catch_every_signal(&self) {
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        self.catch(&[interrupt, terminate, SignalKind::hangup(), SignalKind::quit()]);
    }

    fn catch(&self, kinds: &[SignalKind]) {
        let Some(runtime) = self.runtime.as_ref().filter(|_| self.signals.get().is_none()) else { return };
        let _context = runtime.enter();
        if let Ok(signals) = kinds.iter().copied().map(signal).collect() {
            let _ = self.signals.set(Mutex::new(signals));
        }
    }

    async fn interrupt(&self) {
        let Some(signals) = self.signals.get() else { return std::future::pending().await };
        let mut signals = signals.lock().await;
        std::future::poll_fn(|context| {
            let came = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if came { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn block_on<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(work),
            // Only while it is dropped.
            None => Err(Error::Interrupted("interrupted".into())),
        }
    }

    fn ask(&self, question: &Question<'_>) -> Result<Value, Error> {
        let (status, bytes) = self.raw(question)?;
        self.answer(question, status, &bytes)
    }

    /// Asks again while one daemon follows another, as nothing has been done then.
    fn raw(&self, question: &Question<'_>) -> Result<(StatusCode, Bytes), Error> {
        let begun = clock::instant();
        loop {
            let (status, bytes) = self.raw_once(question)?;
            let is_between =
                status == StatusCode::SERVICE_UNAVAILABLE && is_between(&bytes) && begun.elapsed() < BETWEEN;
            if !is_between {
                return Ok((status, bytes));
            }
            self.pause(AGAIN)?;
        }
    }

    fn raw_once(&self, question: &Question<'_>) -> Result<(StatusCode, Bytes), Error> {
        self.converse(question, async |response| {
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
            Ok((status, body.map_err(|error| self.foreign(&error))?.to_bytes()))
        })
    }

    /// Asks, and has the answer read.
    fn converse<T>(
        &self,
        question: &Question<'_>,
        read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.block_on(async {
            let request = self.request(question)?;
            let stream = tokio::select! {
                stream = self.target.connect() => stream?,
                () = self.interrupt() => return Err(Error::Interrupted("interrupted; nothing was asked".into())),
            };
            // What is asked now goes on at the daemon, whether or not we wait for it.
            let (goes_on, late) = match question.method {
                Method::GET => ("", ": it hangs or has too much to do: look at what it printed, and try again"),
                _ => ("; the daemon goes on with it: see 'ten ps'", "; the daemon goes on with it: see 'ten ps'"),
            };
            let read = async |response: Response<Incoming>| {
                if self.verbose {
                    let (Question { method, path, .. }, status) = (question, response.status());
                    output::note(&format!("ten: {method} {path}: {status} by {}", self.target));
                }
                let version = response.headers().get(VERSION).and_then(|version| version.to_str().ok());
                if let Some(theirs) = version.filter(|theirs| series(theirs) != series(OURS)) {
                    self.warn_of_version(theirs);
                }
                read(response).await
            };
            tokio::select! {
                biased;
                answered = self.exchange(stream, request, read) => answered,
                time = after(question.within) => {
                    Err(Error::TimedOut(format!("no answer from {} within {time}{late}", self.target)))
                }
                () = self.interrupt() => Err(Error::Interrupted(format!("interrupted{goes_on}"))),
            }
        })
    }

    fn request(&self, question: &Question<'_>) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::builder()
            .method(&question.method)
            .uri(question.path)
            .header(header::HOST, self.target.authority())
            .header(header::ACCEPT, question.accept)
            .header(header::CONTENT_TYPE, JSON);
        if let Some(token) = self.target.token() {
            let mut value = header::HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
                Error::NotAllowed(
                    "the token has characters that no token has: look at TENEMENT_TOKEN or the file api_token"
                        .into(),
                )
            })?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let body = question.body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        request.body(Full::new(body)).map_err(|error| self.foreign(&error))
    }

    async fn exchange<T>(
        &self,
        stream: Stream,
        request: Request<Full<Bytes>>,
        read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match stream {
            Stream::Unix(stream) => self.send(TokioIo::new(stream), request, read).await,
            Stream::Tcp(stream) => self.send(TokioIo::new(stream), request, read).await,
        }
    }

    async fn send<I, T>(
        &self,
        stream: I,
        request: Request<Full<Bytes>>,
        read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, Error>,
    ) -> Result<T, Error>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (mut sender, connection) = http1::handshake(stream).await.map_err(|error| self.broken(&error))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
            read(response).await
        };
        // It only moves bytes; how it ends, the exchange hears too.
        let connection = async {
            let _ = connection.await;
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            done = exchange => done,
            never = connection => match never {},
        }
    }

    fn answer(&self, question: &Question<'_>, status: StatusCode, bytes: &[u8]) -> Result<Value, Error> {
        let not_ours = || self.foreign(&format!("the answer is {status} and not JSON as the API has it"));
        let answer: Value = match status {
            StatusCode::NO_CONTENT => Value::Null,
            _ => serde_json::from_slice(bytes).map_err(|_| not_ours())?,
        };
        if status.is_success() {
            let lack = shape::lack(&question.method, question.path, &answer);
            return lack.map_or(Ok(answer), |lack| Err(self.strange(&lack)));
        }
        let subject = Subject::of(&question.method, question.path);
        let mut error = Error::refused(status, &answer, subject).unwrap_or_else(not_ours);
        if let Error::Refused { status: 401, message, .. } = &mut error {
            message.push_str(&self.target.advice());
        }
        Err(error)
    }

    /// The other side speaks no HTTP, or ended before it answered.
    fn broken(&self, error: &hyper::Error) -> Error {
        if error.is_parse() {
            self.foreign(error)
        } else {
            Error::Unreachable(format!(
                "the connection to {} broke off before the answer came: look whether the daemon still runs",
                self.target
            ))
        }
    }

    /// It is HTTP and JSON, and yet nothing of tenement's.
    fn strange(&self, why: &str) -> Error {
        let target = &self.target;
        Error::Foreign(format!(
            "what answers at {target} does not answer as tenement does ({why}): check --server"
        ))
    }

    fn foreign(&self, why: &dyn Display) -> Error {
        Error::Foreign(format!("what answers at {} is no tenement ({why}): check --server", self.target))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A name that is still being looked up must not keep the process.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// `X.Y` of a version.
fn series(version: &str) -> &str {
    version.match_indices('.').nth(1).map_or(version, |(end, _)| &version[..end])
}

/// The time in words, when it is over.
async fn after(within: Option<Duration>) -> String {
    match within {
        Some(within) => tokio::time::sleep(within).await,
        None => std::future::pending().await,
    }
    seconds(within.unwrap_or_default())
}

/// Whether a refusal says that one daemon is about to follow another.
fn is_between(answer: &[u8]) -> bool {
    serde_json::from_slice::<Value>(answer).is_ok_and(|answer| answer["error"] == "upgrading")
}
