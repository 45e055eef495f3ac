//! An answer without an end: one JSON object per line, as they come.

use std::io;

use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, Response,
    body::{Bytes, Incoming},
    header,
};
use serde_json::Value;
use tokio::{io::Interest, net::unix::pipe::Sender};

use super::{ANSWER_MAX, Client, Error, Failure, Question, shape};

/// What became of an object.
pub(in crate::cli) type Taken = Result<(), Failure>;

const LINES: &str = "application/x-ndjson";

/// The largest object that is taken.
const LINE_MAX: usize = 16 << 20;

impl Client {
    /// Hands on every object, until the other side ends the answer or `each` fails; and nothing when no more is
    /// there for now. `stood` becomes true when the answer begins.
    ///
    /// # Errors
    /// The outer one is about the connection; the inner one is the failure of `each`.
    pub(in crate::cli) fn follow(
        &self,
        path: &str,
        stood: &mut bool,
        mut each: impl FnMut(Option<Value>) -> Taken,
    ) -> Result<Taken, Error> {
        self.catch_signals();
        let question = Question { accept: LINES, ..Question::new(Method::GET, path) };
        self.converse(&question, async |response| {
            let status = response.status();
            let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            if !status.is_success() || !kind.is_some_and(|kind| kind.starts_with(LINES)) {
                let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
                let bytes = body.map_err(|error| self.foreign(&error))?.to_bytes();
                // A daemon that knows of no following takes the question for that of a page.
                let page = self.answer(&question, status, &bytes)?;
                return Err(match page.get("pagination") {
                    Some(_) => self.outdated(),
                    None => self.foreign(&"it does not follow"),
                });
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
        each: &mut impl FnMut(Option<Value>) -> Taken,
    ) -> Result<Taken, Error> {
        let (mut body, mut lines) = (response.into_body(), Lines::default());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.broken(&error))?;
            lines.push(frame.into_data().unwrap_or_default());
            while let Some(line) = lines.next() {
                let value: Value = serde_json::from_slice(&line).map_err(|error| self.foreign(&error))?;
                if let Some(lack) = shape::lack_of_line(&value) {
                    return Err(self.strange(&lack));
                }
                if let Err(failure) = each(Some(value)) {
                    return Ok(Err(failure));
                }
            }
            if let Err(failure) = each(None) {
                return Ok(Err(failure));
            }
            lines.tidy();
            if lines.rest.len() > LINE_MAX {
                return Err(self.foreign(&"a line without an end"));
            }
        }
        // What has no line end was cut off by the end of the daemon.
        Ok(Ok(()))
    }

    fn outdated(&self) -> Error {
        let version = "is of a version that can't follow: leave out --follow, and see 'ten status'";
        Error::Outdated(format!("the daemon at {} {version}", self.target))
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
    /// Where the next line begins.
    begin: usize,
    /// So far there is no line end from there on.
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
            let line = self.rest[self.begin..self.searched + end].trim_ascii().to_vec();
            self.searched += end + 1;
            self.begin = self.searched;
            if !line.is_empty() {
                return Some(line);
            }
        }
    }

    /// Forgets what was handed out.
    fn tidy(&mut self) {
        self.rest.drain(..self.begin);
        self.searched -= self.begin;
        self.begin = 0;
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
            lines.tidy();
        }
        assert_eq!(all, ["{\"a\":1}", "{}", "x", "y"]);
    }
}
