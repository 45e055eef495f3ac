//! One health check: a connection of its own, one request, judged by the status line alone.
//!
//! ```text
//!   ask ─► Exchange ──advance──► verdict
//!             └─ not yet ─► wait, until the timeout
//! ```

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

use tenement_core::slot::Address;
use tenement_runtime::socket;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longer status lines are not read.
const STATUS_LINE_MAX: usize = 64;

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("it answered {0}")]
    Status(u16),
    #[error("what it answered is not HTTP/1")]
    NotHttp,
}

/// What a check found: `Ok` for a 2xx.
pub(crate) type Verdict = Result<(), CheckError>;

/// What to ask, and of whom.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) address: Address,
    /// What it says in `Host`.
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) timeout: Duration,
}

/// Asks once. Redirects are not followed, the body is not read.
pub(crate) async fn check(question: &Question) -> Verdict {
    Exchange::begin(question)?.wait(question.timeout).await
}

/// A question that was asked, as far as that goes without waiting.
#[derive(Debug)]
pub(crate) struct Exchange {
    stream: Stream,
    request: String,
    sent: usize,
    answer: StatusLine,
    timeout: Duration,
}

impl Exchange {
    pub(crate) fn begin(question: &Question) -> Result<Self, CheckError> {
        let Question { address, host, path, timeout } = question;
        let stream = match address {
            Address::Unix(path) => socket::connect(path).map(Stream::Unix),
            Address::Tcp(port) => socket::connect_port(*port).map(Stream::Tcp),
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tenement-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        let mut begun = Self {
            stream: stream.map_err(CheckError::Connect)?,
            request,
            sent: 0,
            answer: StatusLine::default(),
            timeout: *timeout,
        };
        begun.send()?;
        Ok(begun)
    }

    /// How long the answer may take, from the beginning.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Goes on without waiting; there is a verdict once the status line is there or nothing more can come.
    pub(crate) fn advance(&mut self) -> Option<Verdict> {
        let whole = self.send().and_then(|()| self.receive());
        whole.map_or_else(|error| Some(Err(error)), |whole| whole.then(|| self.answer.verdict()))
    }

    fn send(&mut self) -> Result<(), CheckError> {
        while self.sent < self.request.len() {
            match self.stream.write(&self.request.as_bytes()[self.sent..]) {
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(self.unsendable(error)),
            }
        }
        Ok(())
    }

    /// A connection to a port is still being made when its first bytes are to be sent.
    fn unsendable(&self, error: io::Error) -> CheckError {
        if self.sent == 0 { CheckError::Connect(error) } else { CheckError::Broken(error) }
    }

    /// Whether all that is looked at is there.
    fn receive(&mut self) -> Result<bool, CheckError> {
        while self.sent > 0 && !self.answer.is_whole() {
            match self.stream.read(self.answer.room()) {
                Ok(read) => self.answer.add(read),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(CheckError::Broken(error)),
            }
        }
        Ok(self.answer.is_whole())
    }

    /// Waits for the verdict, at most for what is left of the timeout.
    pub(crate) async fn wait(self, left: Duration) -> Verdict {
        let timeout = self.timeout;
        tokio::time::timeout(left, self.waited()).await.unwrap_or(Err(CheckError::Timeout(timeout)))
    }

    async fn waited(self) -> Verdict {
        let Self { stream, request, sent, answer, .. } = self;
        let unsent = &request.as_bytes()[sent..];
        match stream {
            Stream::Unix(stream) => {
                let stream = tokio::net::UnixStream::from_std(stream).map_err(CheckError::Broken)?;
                rest(stream, unsent, answer).await
            }
            Stream::Tcp(stream) => {
                let stream = tokio::net::TcpStream::from_std(stream).map_err(CheckError::Broken)?;
                if sent == 0 {
                    // Only now it is known whether there is a connection.
                    stream.writable().await.map_err(CheckError::Connect)?;
                    stream
                        .take_error()
                        .map_err(CheckError::Connect)?
                        .map_or(Ok(()), |e| Err(CheckError::Connect(e)))?;
                }
                rest(stream, unsent, answer).await
            }
        }
    }
}

async fn rest(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    unsent: &[u8],
    mut answer: StatusLine,
) -> Verdict {
    stream.write_all(unsent).await.map_err(CheckError::Broken)?;
    while !answer.is_whole() {
        let read = stream.read(answer.room()).await.map_err(CheckError::Broken)?;
        answer.add(read);
    }
    answer.verdict()
}

/// What has come of a status line.
#[derive(Debug)]
struct StatusLine {
    bytes: [u8; STATUS_LINE_MAX],
    length: usize,
    ended: bool,
}

impl Default for StatusLine {
    fn default() -> Self {
        Self { bytes: [0; STATUS_LINE_MAX], length: 0, ended: false }
    }
}

impl StatusLine {
    fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.length..]
    }

    fn add(&mut self, read: usize) {
        self.length += read;
        self.ended |= read == 0;
    }

    fn is_whole(&self) -> bool {
        self.ended || self.length == self.bytes.len() || self.bytes[..self.length].contains(&b'\n')
    }

    fn verdict(&self) -> Verdict {
        match status_of(&self.bytes[..self.length]).ok_or(CheckError::NotHttp)? {
            200..=299 => Ok(()),
            status => Err(CheckError::Status(status)),
        }
    }
}

/// A connection that does not block.
#[derive(Debug)]
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(bytes),
            Self::Tcp(stream) => stream.read(bytes),
        }
    }
}

/// The code of a status line: RFC 9112 section 4.
fn status_of(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    let code = std::str::from_utf8(rest.get(..3)?).ok()?;
    let ends = matches!(rest.get(3), Some(b' ' | b'\r' | b'\n'));
    if ends && code.bytes().all(|byte| byte.is_ascii_digit()) { code.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
