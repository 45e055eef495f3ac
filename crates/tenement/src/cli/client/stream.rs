//! An answer without an end: one JSON object per line, as they come.

use std::{io, ops::ControlFlow};

use http_body_util::BodyExt;
use hyper::{
    Method, Response,
    body::{Bytes, Incoming},
};
use serde_json::Value;
use tokio::{io::Interest, net::unix::pipe::Sender};

use super::{Client, Error, Failure, Question};

/// What became of an object: on with the next one, or enough of this answer.
pub(in crate::cli) type Taken = Result<ControlFlow<()>, Failure>;

/// On with the next one.
pub(in crate::cli) const GO_ON: Taken = Ok(ControlFlow::Continue(()));

/// The largest object that is taken.
const LINE_MAX: usize = 16 << 20;

impl Client {
    /// Hands on every object, until the other side ends the answer, or `each` has enough or fails. `stood`
    /// becomes true when the answer begins.
    ///
    /// # Errors
    /// The outer one is about the connection; the inner one is the failure of `each`.
    pub(in crate::cli) fn follow(
        &self,
        path: &str,
        stood: &mut bool,
        mut each: impl FnMut(Value) -> Taken,
    ) -> Result<Taken, Error> {
        self.catch_signals();
        let question = Question { accept: "application/x-ndjson", ..Question::new(Method::GET, path) };
        self.converse(&question, async |response| {
            let status = response.status();
            if !status.is_success() {
                let bytes = response.into_body().collect().await.map_err(|error| self.foreign(&error))?;
                return self.answer(&question, status, &bytes.to_bytes()).map(|_| GO_ON);
            }
            *stood = true;
            tokio::select! {
                biased;
                ended = self.lines(response, &mut each) => ended,
                () = unread() => Ok(Err(io::Error::from(io::ErrorKind::BrokenPipe).into())),
            }
        })
    }

    async fn lines(
        &self,
        response: Response<Incoming>,
        each: &mut impl FnMut(Value) -> Taken,
    ) -> Result<Taken, Error> {
        let (mut body, mut lines) = (response.into_body(), Lines::default());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.broken(&error))?;
            lines.push(frame.into_data().unwrap_or_default());
            while let Some(line) = lines.next() {
                let value: Value = serde_json::from_slice(&line).map_err(|error| self.foreign(&error))?;
                self.check(&value)?;
                match each(value) {
                    Ok(ControlFlow::Continue(())) => {}
                    enough => return Ok(enough),
                }
            }
            if lines.rest.len() > LINE_MAX {
                return Err(self.foreign(&"a line without an end"));
            }
        }
        // What has no line end was cut off by the end of the daemon, or is a page.
        serde_json::from_slice(&lines.rest).map_or(Ok(()), |value| self.check(&value))?;
        Ok(GO_ON)
    }

    /// A daemon that knows of no following takes the question for that of a page.
    fn check(&self, value: &Value) -> Result<(), Error> {
        if value.get("pagination").is_none() {
            return Ok(());
        }
        let version = "is of a version that can't follow: leave out --follow, and see 'ten status'";
        Err(Error::Outdated(format!("the daemon at {} {version}", self.target)))
    }
}

/// When nobody reads our output any more; a write would say so, but there may be nothing to write for long.
async fn unread() {
    let gone = async {
        // Left as it is: what others hold of it too must not become non-blocking.
        let watched = Sender::from_owned_fd_unchecked(rustix::io::fcntl_dupfd_cloexec(io::stdout(), 0)?)?;
        watched.ready(Interest::ERROR).await.map(drop)
    };
    // A file can't be watched, and always has a reader.
    if gone.await.is_err() {
        std::future::pending().await
    }
}

/// Lines out of pieces; empty ones, which only keep the connection alive, are left out.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    /// So far there is no line end in the rest.
    searched: usize,
}

impl Lines {
    fn push(&mut self, piece: Bytes) {
        self.rest.extend_from_slice(&piece);
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let Some(end) = self.rest[self.searched..].iter().position(|&byte| byte == b'\n') else {
                self.searched = self.rest.len();
                return None;
            };
            let rest = self.rest.split_off(self.searched + end + 1);
            let line = std::mem::replace(&mut self.rest, rest);
            self.searched = 0;
            let line = line.trim_ascii();
            if !line.is_empty() {
                return Some(line.to_vec());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_whatever_pieces_they_come_in() {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        for piece in ["{\"a\"", ":1}\n\n{}", "", "\r\n", "x\ny\n{\"cut"] {
            lines.push(Bytes::from_static(piece.as_bytes()));
            all.extend(std::iter::from_fn(|| lines.next()).map(|line| String::from_utf8(line).unwrap()));
        }
        assert_eq!(all, ["{\"a\":1}", "{}", "x", "y"]);
    }
}
