//! Answers of the proxy's own.

use std::time::Duration;

use tenement_core::{route::RouteTable, wake::WakeRefusal};

use super::route;
use crate::http::{Malformed, glimpse};

const FAILED: &str =
    "the instance could not be started; its operator finds the reason with 'ten ps' and 'ten logs'";

/// An answer that no application gave.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    why: String,
    retry_after: Option<Duration>,
    /// An instance was started for the request, in vain.
    pub(super) tried: bool,
    /// As the API answers.
    envelope: bool,
}

impl Answer {
    pub(super) fn new(status: u16, why: impl Into<String>) -> Self {
        Self { status, why: why.into(), retry_after: None, tried: false, envelope: false }
    }

    pub(super) fn of(malformed: Malformed) -> Self {
        Self::new(malformed.status, malformed.why)
    }

    /// Come back later.
    pub(super) fn unavailable(why: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(503, why) }
    }

    pub(super) fn refused(refusal: WakeRefusal) -> Self {
        match refusal {
            WakeRefusal::Unknown => Self::new(404, "there is no such instance"),
            WakeRefusal::Unavailable { reason, retry_after } => Self::unavailable(reason, retry_after),
            WakeRefusal::Failed { retry_after, tried, .. } => {
                Self { tried, ..Self::unavailable(FAILED, retry_after) }
            }
        }
    }

    /// The same, but as the API would have refused it if that was what `head` asks; the part of it that came.
    pub(super) fn fit(self, head: &[u8], routes: &RouteTable) -> Self {
        let asked = glimpse(head);
        let of_api =
            asked.path.strip_prefix(b"/api").is_some_and(|rest| matches!(rest, [] | [b'/' | b'?', ..]));
        if !of_api || asked.host.is_some_and(|host| route::is_tenants(routes, &host)) {
            return self;
        }
        match self.status {
            400 | 431 if asked.bad_token => {
                Self { envelope: true, ..Self::new(401, "A valid bearer token is required") }
            }
            _ => Self { envelope: true, ..self },
        }
    }

    /// Replaces `out` by the whole answer.
    pub(super) fn write(&self, out: &mut Vec<u8>, close: bool) {
        let (status, reason) = (self.status, reason(self.status));
        let (kind, body) = if self.envelope {
            let (word, why) = (reason.to_ascii_lowercase().replace(' ', "_"), quoted(&self.why));
            ("application/json", format!(r#"{{"error":"{word}","message":{why},"status":{status}}}"#))
        } else {
            ("text/plain; charset=utf-8", format!("{status} {reason}: {}\n", self.why))
        };
        let mut text = format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nX-Content-Type-Options: nosniff\r\n\
             Cache-Control: no-store\r\nContent-Length: {}\r\n",
            body.len()
        );
        if status == 401 {
            text.push_str("WWW-Authenticate: Bearer\r\n");
        }
        if let Some(after) = self.retry_after {
            // Whole seconds, and never "at once".
            let seconds = after.as_millis().div_ceil(1000).max(1);
            text.push_str(&format!("Retry-After: {seconds}\r\n"));
        }
        if close {
            text.push_str("Connection: close\r\n");
        }
        text.push_str("\r\n");
        out.clear();
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(body.as_bytes());
    }

    /// As [`Self::write`], for a request whose answer has no body.
    pub(super) fn write_without_body(&self, out: &mut Vec<u8>, close: bool) {
        self.write(out, close);
        if let Some(end) = memchr::memmem::find(out, b"\r\n\r\n") {
            out.truncate(end + 4);
        }
    }
}

/// A JSON string (RFC 8259 section 7).
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\0'..='\x1f' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        408 => "Request Timeout",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}
