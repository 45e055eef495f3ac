//! One health check: a connection of its own, one request, judged by the status line alone.

use std::{io, io::Write, path::Path, time::Duration};

use tenement_core::slot::Address;
use tenement_runtime::socket;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

/// Longer status lines are not read.
const STATUS_LINE_MAX: usize = 256;

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

/// Asks `path` once; `Ok` for a 2xx. Redirects are not followed, the body is not read.
pub(crate) async fn check(
    address: &Address,
    host: &str,
    path: &str,
    timeout: Duration,
) -> Result<(), CheckError> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tenement-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    let exchange = async {
        match address {
            Address::Unix(socket) => answer(ask_unix(socket, request.as_bytes())?).await,
            Address::Tcp(port) => {
                let stream = TcpStream::connect(("127.0.0.1", *port)).await;
                let mut stream = stream.map_err(CheckError::Connect)?;
                stream.write_all(request.as_bytes()).await.map_err(CheckError::Broken)?;
                answer(stream).await
            }
        }
    };
    tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(CheckError::Timeout(timeout)))
}

/// A Unix socket connects and takes a short request at once or not at all; so the event loop is bothered only
/// for the answer. With hundreds of instances that is most of what an idle daemon costs.
fn ask_unix(socket: &Path, request: &[u8]) -> Result<UnixStream, CheckError> {
    let mut stream = socket::connect(socket).map_err(CheckError::Connect)?;
    stream.write_all(request).map_err(CheckError::Broken)?;
    UnixStream::from_std(stream).map_err(CheckError::Broken)
}

async fn answer(mut stream: impl AsyncRead + Unpin) -> Result<(), CheckError> {
    let mut line = [0; STATUS_LINE_MAX];
    let mut length = 0;
    while length < line.len() && !line[..length].contains(&b'\n') {
        match stream.read(&mut line[length..]).await.map_err(CheckError::Broken)? {
            0 => break,
            more => length += more,
        }
    }
    match status_of(&line[..length]).ok_or(CheckError::NotHttp)? {
        200..=299 => Ok(()),
        status => Err(CheckError::Status(status)),
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
