//! OTLP over HTTP, with protobuf: <https://opentelemetry.io/docs/specs/otlp/>.
//!
//! ```text
//!   2xx ─► taken, but for what a partial success rejects      413 ─► each half by itself
//!   429, 502, 503, 504, no answer ─► again, not before Retry-After
//!   everything else ─► refused: the same again would be refused again, and hold up what comes after it
//! ```

mod message;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use axum::http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message;
use tenement_core::time::WallMillis;
use tenement_logs::LogLine;
use tenement_runtime::clock;
use ureq::{
    Agent,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::{Failure, Receipt, Sink, format};

/// Of an answer.
const BODY_MAX: u64 = 64 << 10;
/// Characters of an answer that are shown.
const SHOWN: usize = 200;
/// A receiver that wants to be left alone for longer is asked all the same.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// An OpenTelemetry collector, or whatever speaks like one.
pub(super) struct Otlp {
    endpoint: String,
    headers: BTreeMap<String, String>,
    ca_file: Option<PathBuf>,
    timeout: Duration,
    agent: Option<Agent>,
}

/// What a receiver answered.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Sink for Otlp {
    fn deliver(&mut self, lines: &[LogLine]) -> Result<Receipt, Failure> {
        let answer = self.send(&message::request(lines)).map_err(Failure::new)?;
        match answer.status.as_u16() {
            200..=299 => Ok(taken(&answer.body, lines.len())),
            413 if lines.len() > 1 => self.halves(lines),
            429 | 502 | 503 | 504 => {
                let retry_after = retry_after(&answer.headers, clock::wall());
                Err(Failure { retry_after, ..Failure::new(answer.text()) })
            }
            _ => Ok(Receipt { refused: lines.len() as u64, why: Some(answer.text()) }),
        }
    }
}

impl Otlp {
    pub(super) fn new(
        endpoint: String,
        headers: BTreeMap<String, String>,
        ca_file: Option<PathBuf>,
        timeout: Duration,
    ) -> Self {
        Self { endpoint, headers, ca_file, timeout, agent: None }
    }

    fn halves(&mut self, lines: &[LogLine]) -> Result<Receipt, Failure> {
        let (first, second) = lines.split_at(lines.len() / 2);
        let mut receipt = self.deliver(first)?;
        let more = self
            .deliver(second)
            .map_err(|failure| Failure { done: first.len() + failure.done, ..failure })?;
        receipt.refused += more.refused;
        receipt.why = receipt.why.or(more.why);
        Ok(receipt)
    }

    fn send(&mut self, body: &[u8]) -> Result<Answer, String> {
        let agent = match &self.agent {
            Some(agent) => agent,
            None => {
                let agent = self.connect()?;
                self.agent.insert(agent)
            }
        };
        let mut request = agent.post(&self.endpoint).content_type("application/x-protobuf");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let (head, mut body) = request.send(body).map_err(|error| error.to_string())?.into_parts();
        let body = body.with_config().limit(BODY_MAX).read_to_vec();
        // An answer that is cut off has said what it is about all the same.
        Ok(Answer { status: head.status, headers: head.headers, body: body.unwrap_or_default() })
    }

    fn connect(&self) -> Result<Agent, String> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("tenement/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(self.timeout));
        let config = if self.endpoint.starts_with("https:") {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let tls = TlsConfig::builder()
                .unversioned_rustls_crypto_provider(provider)
                .root_certs(self.roots()?)
                .build();
            config.tls_config(tls)
        } else {
            config
        };
        Ok(config.build().into())
    }

    /// Whom to trust.
    fn roots(&self) -> Result<RootCerts, String> {
        let certificates: Vec<Certificate<'static>> = match &self.ca_file {
            Some(path) => {
                let named = |error: &dyn std::fmt::Display| format!("'{}': {error}", path.display());
                let pem = std::fs::read(path).map_err(|error| named(&error))?;
                let items = parse_pem(&pem).collect::<Result<Vec<_>, _>>().map_err(|error| named(&error))?;
                let certificate = |item| match item {
                    PemItem::Certificate(certificate) => Some(certificate),
                    _ => None,
                };
                items.into_iter().filter_map(certificate).collect()
            }
            None => {
                let found = rustls_native_certs::load_native_certs().certs;
                found.iter().map(|found| Certificate::from_der(found).to_owned()).collect()
            }
        };
        if certificates.is_empty() {
            return Err("there are no certificates to trust: set 'ca_file'".to_owned());
        }
        Ok(certificates.into())
    }
}

impl Answer {
    fn text(&self) -> String {
        let (body, mut shown) = (String::from_utf8_lossy(&self.body), String::new());
        // Often protobuf, whose texts can be read.
        let readable: String = body.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        format::escape(readable.trim(), &mut shown);
        let colon = if shown.is_empty() { "" } else { ": " };
        format!("it answered {}{colon}{shown}", self.status)
    }
}

fn taken(body: &[u8], lines: usize) -> Receipt {
    let partial = ExportLogsServiceResponse::decode(body).ok().and_then(|answer| answer.partial_success);
    let Some(partial) = partial else { return Receipt::default() };
    let refused = u64::try_from(partial.rejected_log_records).unwrap_or(0).min(lines as u64);
    Receipt { refused, why: Some(partial.error_message).filter(|why| !why.is_empty()) }
}

/// RFC 9110 section 10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: WallMillis) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wanted = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
            Duration::from_millis(u64::try_from(at).ok()?.saturating_sub(now.0))
        }
    };
    Some(wanted.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_says_when_to_come_back() {
        let now = WallMillis(1_445_412_480_000);
        let after = |text: &'static str| {
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]), now)
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("Wed, 21 Oct 2015 07:28:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(after("Wed, 21 Oct 2015 07:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(after("99999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(after("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
