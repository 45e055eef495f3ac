//! Answers of the proxy's own.

use std::time::Duration;

use tenement_core::wake::WakeRefusal;

use crate::http::Malformed;

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
}

impl Answer {
    pub(super) fn new(status: u16, why: impl Into<String>) -> Self {
        Self { status, why: why.into(), retry_after: None, tried: false }
    }

    pub(super) fn of(malformed: Malformed) -> Self {
        Self::new(malformed.status, malformed.why)
    }

    /// Come back later.
    pub(super) fn unavailable(why: impl Into<String>, retry_after: Duration) -> Self {
        Self { status: 503, why: why.into(), retry_after: Some(retry_after), tried: false }
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

    /// Replaces `out` by the whole answer.
    pub(super) fn write(&self, out: &mut Vec<u8>, close: bool) {
        let body = format!("{} {}: {}\n", self.status, reason(self.status), self.why);
        let mut text = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\
             Cache-Control: no-store\r\nContent-Length: {}\r\n",
            self.status,
            reason(self.status),
            body.len()
        );
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

fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
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
