//! HTTP/1.1 messages (RFC 9112): parsed strictly, written anew.
//!
//! Whatever could be understood in two ways is refused and never repaired. Nothing is forwarded as it came:
//! start line, framing, hop-by-hop and forwarding fields are always the proxy's own.

mod chunked;
mod field;
mod framing;
mod glimpse;
mod host;
mod lines;
mod peer;
mod request;
mod response;
mod restore;
mod target;

pub(crate) use chunked::{Chunks, Emit, chunk};
pub(crate) use framing::Body;
pub(crate) use glimpse::glimpse;
pub(crate) use peer::Peer;
pub(crate) use request::{Method, RequestHead};
pub(crate) use response::{ResponseHead, ResponseShape};
pub(crate) use target::is_fit_for_control;

/// A message that is not accepted. For a request, the status it is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) status: u16,
    pub(crate) why: &'static str,
}

impl Malformed {
    pub(crate) const fn bad(why: &'static str) -> Self {
        Self { status: 400, why }
    }
}

/// Minor versions of HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
}

impl Version {
    fn of(minor: Option<u8>) -> Self {
        if minor == Some(0) { Self::Http10 } else { Self::Http11 }
    }
}

/// Writes the fields that go on, but for those that `connection` ends here.
fn write_kept(
    fields: &[httparse::Header<'_>],
    kept: field::Kept,
    connection: &field::Connection<'_>,
    out: &mut Vec<u8>,
) {
    for (at, field) in fields.iter().enumerate() {
        if kept.contains(at) && !connection.ends(field.name) {
            write_field(field.name, field.value, out);
        }
    }
}

/// Writes one field.
fn write_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes the field that says where the body ends. `length` was stated by whoever sent the head; it is kept
/// also where no body follows.
fn write_framing(body: Body, length: Option<u64>, out: &mut Vec<u8>) {
    match (body, length) {
        (Body::Chunked | Body::UntilClose, _) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        (Body::Length(_) | Body::None, Some(length)) => {
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(length.to_string().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        (Body::Length(_) | Body::None, None) => {}
    }
}
