//! Asks the daemon: over its local socket, or over HTTP with `--server`.

mod target;
pub(super) use target::data_dir;

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use target::{Stream, Target};

use super::{EXIT_FAILURE, EXIT_TIMEOUT, Failure, Global};

/// What the API answered, or why it did not.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Nobody answers there.
    #[error("{0}")]
    Unreachable(String),
    /// We may not.
    #[error("{0}")]
    NotAllowed(String),
    /// It took too long.
    #[error("{0}")]
    TimedOut(String),
    /// The API refused.
    #[error("{message}")]
    Refused {
        /// The status of its answer.
        status: u16,
        /// The word for programs.
        code: String,
        /// The sentence for people.
        message: String,
        /// The service's command does not exist.
        command_not_found: bool,
    },
    /// What answers there is no tenement.
    #[error("{0}")]
    Foreign(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Refused { command_not_found: true, .. } => 127,
            Error::Refused { code, .. } if code == "instance_not_found" => 3,
            Error::Refused { code, .. } if code == "conflict" => 4,
            Error::TimedOut(_) => EXIT_TIMEOUT,
            Error::NotAllowed(_) => 6,
            Error::Refused { status: 401 | 403, .. } => 6,
            Error::Unreachable(_) => 7,
            Error::Refused { .. } | Error::Foreign(_) => EXIT_FAILURE,
        };
        Self { code, message: error.to_string() }
    }
}

/// A daemon to ask.
pub(super) struct Client {
    runtime: tokio::runtime::Runtime,
    target: Target,
}

impl Client {
    /// Finds out whom to ask; nothing is sent yet.
    pub(super) fn new(global: &Global) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self { runtime: runtime.map_err(Failure::general)?, target: Target::find(global)? })
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, Error> {
        self.call(Method::GET, path, None, None)
    }

    pub(super) fn post(&self, path: &str, body: &Value, within: Option<Duration>) -> Result<Value, Error> {
        self.call(Method::POST, path, Some(body), within)
    }

    pub(super) fn delete(&self, path: &str) -> Result<Value, Error> {
        self.call(Method::DELETE, path, None, None)
    }

    fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        within: Option<Duration>,
    ) -> Result<Value, Error> {
        self.runtime.block_on(async {
            let call = self.exchange(method, path, body);
            let Some(within) = within else { return call.await };
            tokio::time::timeout(within, call).await.unwrap_or_else(|_| {
                let seconds = within.as_secs_f64();
                Err(Error::TimedOut(format!(
                    "no answer within {seconds} s; the daemon goes on with it: see 'ten ps'"
                )))
            })
        })
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let stream = self.target.connect().await?;
        let lost = |error: hyper::Error| {
            Error::Unreachable(format!("the connection to {} broke off: {error}", self.target))
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.target.authority())
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = self.target.token() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let request = request
            .body(Full::new(body))
            .map_err(|error| Error::NotAllowed(format!("the token can't be sent: {error}")))?;
        let response = match stream {
            Stream::Unix(stream) => send(TokioIo::new(stream), request).await,
            Stream::Tcp(stream) => send(TokioIo::new(stream), request).await,
        };
        let (status, bytes) = response.map_err(lost)?;
        let foreign =
            || Error::Foreign(format!("{} answered {status}, and not as a tenement does", self.target));
        let answer: Value = serde_json::from_slice(&bytes).map_err(|_| foreign())?;
        if status.is_success() { Ok(answer) } else { Err(refused(status, &answer).ok_or_else(foreign)?) }
    }
}

async fn send<I>(stream: I, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), hyper::Error>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(stream).await?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    };
    tokio::select! {
        done = exchange => done,
        // Ends only when the exchange has what it gets.
        Err(error) = connection => Err(error),
    }
}

fn refused(status: StatusCode, answer: &Value) -> Option<Error> {
    let message = answer["message"].as_str()?.to_owned();
    let message = match status {
        StatusCode::UNAUTHORIZED => {
            format!(
                "{message}: set TENEMENT_TOKEN, or make a token with 'ten token-gen' on the daemon's machine"
            )
        }
        _ => message,
    };
    Some(Error::Refused {
        status: status.as_u16(),
        code: answer["error"].as_str()?.to_owned(),
        message,
        command_not_found: answer["command_not_found"] == true,
    })
}
