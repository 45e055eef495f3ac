//! An answer that is a file.

use std::io::Write;

use http_body_util::{BodyExt, Limited};
use hyper::{Method, header};

use super::Taken;
use super::{ANSWER_MAX, Client, Error, Question};

impl Client {
    /// Writes an answer of a media type to `into`, until its end.
    ///
    /// # Errors
    /// The outer one is about the connection; the inner one is that `into` takes no more.
    pub(in crate::cli) fn download(
        &self,
        path: &str,
        kind: &'static str,
        into: &mut impl Write,
    ) -> Result<Taken, Error> {
        self.catch_signals();
        let question = Question { accept: kind, ..Question::new(Method::GET, path) };
        self.converse(&question, async |response| {
            let status = response.status();
            let is_it = response.headers().get(header::CONTENT_TYPE).is_some_and(|found| found == kind);
            if !status.is_success() || !is_it {
                let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
                let bytes = body.map_err(|error| self.foreign(&error))?.to_bytes();
                self.answer(&question, status, &bytes)?;
                return Err(self.foreign(&"what it answers is no such file"));
            }
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| self.broken(&error))?;
                let Ok(bytes) = frame.into_data() else { continue };
                if let Err(error) = into.write_all(&bytes) {
                    return Ok(Err(error.into()));
                }
            }
            Ok(Ok(()))
        })
    }
}
