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
};

/// Longer status lines are not read.
const STATUS_LINE_MAX: usize = 256;
/// When the answers to relaxed checks are collected.
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

/// How soon the outcome matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Somebody waits for it.
    Urgent,
    /// It is one of many. An idle daemon with hundreds of instances does little else than checking them, and most
    /// of what a check costs is being woken for its answer; so the answers of one moment are collected together.
    Relaxed,
}

/// Asks `path` once; `Ok` for a 2xx. Redirects are not followed, the body is not read.
pub(crate) async fn check(
    address: &Address,
    host: &str,
    path: &str,
    timeout: Duration,
    pace: Pace,
) -> Result<(), CheckError> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tenement-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    let mut line = StatusLine::default();
    let pending = match address {
        Address::Unix(socket) => {
            // A Unix socket connects and takes a short request at once or not at all.
            let mut stream = socket::connect(socket).map_err(CheckError::Connect)?;
            stream.write_all(request.as_bytes()).map_err(CheckError::Broken)?;
            if pace == Pace::Relaxed {
                tokio::time::sleep(COLLECT.min(timeout)).await;
                match stream.read(line.room()) {
                    Ok(read) => line.add(read),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(CheckError::Broken(error)),
                }
            }
            if line.is_whole() {
                return line.verdict();
            }
            Pending::Unix(stream)
        }
        Address::Tcp(port) => Pending::Tcp(*port),
    };
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
