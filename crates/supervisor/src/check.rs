//! One health check: a connection of its own, one request, judged by the status line alone.
//!
//! ```text
//!   begin ─► Exchange ──advance──► verdict ─► over? ─ no ─► linger: the rest is read and thrown away
//!               └─ not yet ─► wait, until the timeout ─┘
//! ```
//!
//! The rest is read because an application that is still writing it would get a SIGPIPE.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::{fd::AsFd, unix::net::UnixStream},
    path::PathBuf,
    time::Duration,
};

use tenement_core::slot::{Address, Upstream};
use tenement_runtime::{limits, socket};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use self::answer::Answer;

mod answer;

/// For how long, and how much of it, the rest of an answer is read.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 << 10;

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("somebody else listens in its place")]
    Stranger,
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("it answered {0}")]
    Status(u16),
    #[error("what it answered is not HTTP/1")]
    NotHttp,
    /// Not the application's failure: it was not asked.
    #[error("this host has nothing left to ask with: {0}")]
    Own(io::Error),
}

impl CheckError {
    /// Of a failure to connect.
    fn connect(error: io::Error) -> Self {
        if limits::is_exhaustion(&error) { Self::Own(error) } else { Self::Connect(error) }
    }
}

/// What a check found: `Ok` for a 2xx.
pub(crate) type Verdict = Result<(), CheckError>;

/// What to ask, and of whom.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) upstream: Upstream,
    /// What it says in `Host`.
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) timeout: Duration,
}

/// Asks once. Redirects are not followed.
pub(crate) async fn check(question: &Question) -> Verdict {
    let mut found = None;
    Exchange::begin(question)?.wait(question.timeout, |verdict| found = Some(verdict)).await;
    found.unwrap_or(Err(CheckError::NotHttp))
}

/// A question that was asked, as far as that goes without waiting.
#[derive(Debug)]
pub(crate) struct Exchange {
    upstream: Upstream,
    stream: Stream,
    request: String,
    sent: usize,
    answer: Answer,
    timeout: Duration,
}

/// A connection that does not block.
#[derive(Debug)]
enum Stream {
    /// The queue of the listening socket is full.
    Queued(PathBuf),
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Bytes both ways.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

impl Exchange {
    pub(crate) fn begin(question: &Question) -> Result<Self, CheckError> {
        let Question { upstream, host, path, timeout } = question;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tenement-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        let mut begun = Self {
            upstream: upstream.clone(),
            stream: connect(upstream)?,
            request,
            sent: 0,
            answer: Answer::default(),
            timeout: *timeout,
        };
        begun.send()?;
        Ok(begun)
    }

    /// How long the answer may take, from the beginning.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether the application has nothing more to say.
    pub(crate) fn is_over(&self) -> bool {
        self.answer.is_over()
    }

    /// Goes on without waiting; there is a verdict once the status line is there or nothing more can come.
    pub(crate) fn advance(&mut self) -> Option<Verdict> {
        let whole = self.send().and_then(|()| self.receive());
        whole.map_or_else(|error| Some(Err(error)), |whole| whole.then(|| self.answer.verdict()))
    }

    fn send(&mut self) -> Result<(), CheckError> {
        if let Stream::Queued(_) = self.stream {
            self.stream = connect(&self.upstream)?;
        }
        while self.sent < self.request.len() {
            match self.stream.write(&self.request.as_bytes()[self.sent..]) {
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // A connection to a port is still being made when its first bytes are to be sent.
                Err(error) if self.sent == 0 => return Err(CheckError::connect(error)),
                Err(error) => return Err(CheckError::Broken(error)),
            }
        }
        Ok(())
    }

    /// Whether all that is judged is there.
    fn receive(&mut self) -> Result<bool, CheckError> {
        while self.sent > 0 && !self.answer.is_over() && !self.answer.is_full() {
            match self.stream.read(self.answer.room()) {
                Ok(read) => self.answer.add(read),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What came first counts.
                Err(_) if self.answer.is_judged() => break,
                Err(error) => return Err(CheckError::Broken(error)),
            }
        }
        Ok(self.answer.is_judged())
    }

    /// Waits for the verdict, at most for what is `left` of the timeout, tells it, and reads the rest.
    pub(crate) async fn wait(mut self, left: Duration, tell: impl FnOnce(Verdict)) {
        let timeout = self.timeout;
        let mut stream: Option<Box<dyn Duplex>> = None;
        let verdict = tokio::time::timeout(left, async {
            let stream = stream.insert(self.opened().await?);
            self.judge(stream).await
        });
        tell(verdict.await.unwrap_or(Err(CheckError::Timeout(timeout))));
        if let Some(stream) = stream.filter(|_| self.answer.is_judged() && !self.answer.is_over()) {
            drain(stream).await;
        }
    }

    /// Reads the rest of an answer that was judged.
    pub(crate) async fn linger(mut self) {
        if let Ok(stream) = self.opened().await {
            drain(stream).await;
        }
    }

    async fn opened(&mut self) -> Result<Box<dyn Duplex>, CheckError> {
        if let Stream::Queued(path) = &self.stream {
            let stream = socket::connect_in_turn(path).await.map_err(CheckError::connect)?;
            self.stream = known(&self.upstream, Stream::Unix(stream))?;
        }
        // Nothing waits in this place; it is never used.
        let stream = std::mem::replace(&mut self.stream, Stream::Queued(PathBuf::new()));
        match stream {
            Stream::Unix(stream) => {
                tokio::net::UnixStream::from_std(stream).map(|stream| Box::new(stream) as Box<dyn Duplex>)
            }
            Stream::Tcp(stream) => {
                tokio::net::TcpStream::from_std(stream).map(|stream| Box::new(stream) as _)
            }
            Stream::Queued(_) => Err(io::ErrorKind::NotConnected.into()),
        }
        .map_err(CheckError::connect)
    }

    async fn judge(&mut self, stream: &mut Box<dyn Duplex>) -> Verdict {
        let unsent = &self.request.as_bytes()[self.sent..];
        stream.write_all(unsent).await.map_err(|error| match self.sent {
            0 => CheckError::connect(error),
            _ => CheckError::Broken(error),
        })?;
        while !self.answer.is_judged() {
            let read = stream.read(self.answer.room()).await.map_err(CheckError::Broken)?;
            self.answer.add(read);
        }
        self.answer.verdict()
    }
}

fn connect(upstream: &Upstream) -> Result<Stream, CheckError> {
    let stream = match &upstream.address {
        Address::Unix(path) => match socket::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Stream::Queued(path.clone()));
            }
            stream => stream.map(Stream::Unix),
        },
        Address::Tcp(port) => socket::connect_port(*port).map(Stream::Tcp),
    };
    known(upstream, stream.map_err(CheckError::connect)?)
}

/// Only the instance itself is asked.
fn known(upstream: &Upstream, stream: Stream) -> Result<Stream, CheckError> {
    let (is_own, refused) = match &stream {
        Stream::Unix(stream) => (upstream.identity.is_behind(stream.as_fd()), None),
        Stream::Tcp(stream) => {
            (upstream.identity.is_behind(stream.as_fd()), stream.take_error().unwrap_or_else(Some))
        }
        Stream::Queued(_) => (true, None),
    };
    match refused {
        Some(error) => Err(CheckError::connect(error)),
        // To find out takes a descriptor.
        None if !is_own => Err(limits::no_descriptor().map_or(CheckError::Stranger, CheckError::Own)),
        None => Ok(stream),
    }
}

async fn drain(stream: Box<dyn Duplex>) {
    let rest = async { tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await };
    let _ = tokio::time::timeout(LINGER, rest).await;
}

impl Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Queued(_) => Err(io::ErrorKind::WouldBlock.into()),
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Queued(_) => Err(io::ErrorKind::WouldBlock.into()),
            Self::Unix(stream) => stream.read(bytes),
            Self::Tcp(stream) => stream.read(bytes),
        }
    }
}

#[cfg(test)]
mod tests;
