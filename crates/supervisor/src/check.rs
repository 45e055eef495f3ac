//! One health check: a connection of its own, one request, judged by the status line alone.

use std::{
    io::{self, Read, Write},
    time::Duration,
};

use tenement_core::slot::Address;
use tenement_runtime::socket;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    task::JoinSet,
};

/// Longer status lines are not read.
const STATUS_LINE_MAX: usize = 64;
/// When the answers to many checks are collected.
const COLLECT: Duration = Duration::from_millis(10);

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

/// What to ask, and of whom.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) address: Address,
    /// What it says in `Host`.
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) timeout: Duration,
}

/// Asks once; `Ok` for a 2xx. Redirects are not followed, the body is not read.
pub(crate) async fn check(question: &Question) -> Result<(), CheckError> {
    Asked::of(question)?.wait(question.timeout).await
}

/// Asks many at once. An idle daemon with hundreds of instances does little else than checking them, and most of
/// what a check costs is being woken for its answer; so the answers are collected together, and only those that
/// take longer are waited for one by one.
pub(crate) async fn check_all<K: Send + 'static>(
    questions: Vec<(K, Question)>,
    mut tell: impl FnMut(K, Result<(), CheckError>),
) {
    let asked: Vec<_> =
        questions.into_iter().map(|(key, question)| (key, Asked::of(&question), question.timeout)).collect();
    tokio::time::sleep(COLLECT).await;
    let mut slow = JoinSet::new();
    for (key, asked, timeout) in asked {
        match asked.map(Asked::collect) {
            Ok(Collected::Verdict(verdict)) => tell(key, verdict),
            Ok(Collected::Pending(asked)) => {
                drop(slow.spawn(async move { (key, asked.wait(timeout).await) }))
            }
            Err(error) => tell(key, Err(error)),
        }
    }
    while let Some(done) = slow.join_next().await {
        if let Ok((key, verdict)) = done {
            tell(key, verdict);
        }
    }
}

/// A question that was asked, as far as that goes without waiting.
struct Asked {
    pending: Pending,
    request: String,
    line: StatusLine,
}

enum Collected {
    Verdict(Result<(), CheckError>),
    Pending(Asked),
}

impl Asked {
    fn of(question: &Question) -> Result<Self, CheckError> {
        let Question { address, host, path, .. } = question;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tenement-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        let pending = match address {
            Address::Unix(socket) => {
                // A Unix socket connects and takes a short request at once or not at all.
                let mut stream = socket::connect(socket).map_err(CheckError::Connect)?;
                stream.write_all(request.as_bytes()).map_err(CheckError::Broken)?;
                Pending::Unix(stream)
            }
            Address::Tcp(port) => Pending::Tcp(*port),
        };
        Ok(Self { pending, request, line: StatusLine::default() })
    }

    /// Takes the answer if it is there.
    fn collect(mut self) -> Collected {
        let Pending::Unix(stream) = &mut self.pending else { return Collected::Pending(self) };
        match stream.read(self.line.room()) {
            Ok(read) => self.line.add(read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Collected::Verdict(Err(CheckError::Broken(error))),
        }
        if self.line.is_whole() { Collected::Verdict(self.line.verdict()) } else { Collected::Pending(self) }
    }

    async fn wait(self, timeout: Duration) -> Result<(), CheckError> {
        let Self { pending, request, line } = self;
        let answer = async {
            match pending {
                Pending::Unix(stream) => {
                    line.read(UnixStream::from_std(stream).map_err(CheckError::Broken)?).await
                }
                Pending::Tcp(port) => {
                    let stream = TcpStream::connect(("127.0.0.1", port)).await;
                    let mut stream = stream.map_err(CheckError::Connect)?;
                    stream.write_all(request.as_bytes()).await.map_err(CheckError::Broken)?;
                    line.read(stream).await
                }
            }
        };
        tokio::time::timeout(timeout, answer).await.unwrap_or(Err(CheckError::Timeout(timeout)))
    }
}

/// An exchange that has to be waited for.
enum Pending {
    Unix(std::os::unix::net::UnixStream),
    Tcp(u16),
}

/// What has come of a status line.
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

    async fn read(mut self, mut stream: impl AsyncRead + Unpin) -> Result<(), CheckError> {
        while !self.is_whole() {
            let read = stream.read(self.room()).await.map_err(CheckError::Broken)?;
            self.add(read);
        }
        self.verdict()
    }

    fn verdict(&self) -> Result<(), CheckError> {
        match status_of(&self.bytes[..self.length]).ok_or(CheckError::NotHttp)? {
            200..=299 => Ok(()),
            status => Err(CheckError::Status(status)),
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
mod tests {
    use super::*;

    #[test]
    fn only_a_status_line_counts() {
        assert_eq!(status_of(b"HTTP/1.1 204 No Content\r\n"), Some(204));
        assert_eq!(status_of(b"HTTP/1.0 500\r\n"), Some(500));
        for bad in ["", "HTTP/1.1 20", "HTTP/2 200 ", "HTTP/1.1 2000 ", "HTTP/1.1 2x0 ", "200 OK"] {
            assert_eq!(status_of(bad.as_bytes()), None, "{bad}");
        }
    }
}
