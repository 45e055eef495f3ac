//! Request heads.

use std::mem::MaybeUninit;

use super::{
    Malformed, Version,
    field::{Connection, Field, Kept},
    framing::{Body, Framing},
    host, lines,
    peer::{Peer, Said},
};
use crate::config::Limits;

/// What matters of a method (RFC 9110 section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    /// Others that may be sent again without a second effect.
    Idempotent,
    /// Must not be sent twice.
    Other,
}

impl Method {
    fn of(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "OPTIONS" | "TRACE" | "PUT" | "DELETE" => Self::Idempotent,
            _ => Self::Other,
        }
    }

    pub(crate) fn is_idempotent(self) -> bool {
        self != Self::Other
    }
}

/// A request that was understood.
#[derive(Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) body: Body,
    /// The host it is for: lower case, without port and trailing dot.
    pub(crate) host: String,
    /// Whether the client can take another answer on this connection.
    pub(crate) keep_alive: bool,
    /// Asks for a WebSocket.
    pub(crate) upgrade: bool,
    /// Waits for a 100 before it sends its body.
    pub(crate) expects: bool,
    /// The trailers it announces.
    pub(crate) trailers: Box<[u8]>,
    /// Bytes it came in.
    pub(crate) bytes: usize,
}

impl RequestHead {
    /// Parses the head at the beginning of `bytes` and writes to `out` the one that goes on. `None` when more
    /// bytes are needed; `seen` is then where the next look at them begins.
    pub(crate) fn parse(
        bytes: &[u8],
        seen: &mut usize,
        peer: &Peer,
        limits: &Limits,
        out: &mut Vec<u8>,
    ) -> Result<Option<Self>, Malformed> {
        let Some(head) = lines::head(bytes, limits.head_bytes, seen)? else {
            return too_long_already(bytes, limits);
        };
        let mut storage = [const { MaybeUninit::uninit() }; lines::MAX_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(head, &mut storage) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(Malformed::bad("the head is malformed")),
            Err(error) => return Err(refusal(head, error)),
        }
        if request.headers.len() > limits.headers {
            return Err(Malformed { status: 431, why: "too many header fields" });
        }
        out.clear();
        write(&request, head, peer, limits, out).map(Some)
    }
}

fn too_long_already(bytes: &[u8], limits: &Limits) -> Result<Option<RequestHead>, Malformed> {
    let line = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    if line > limits.target_bytes + 64 {
        return Err(Malformed { status: 414, why: "the request target is too long" });
    }
    Ok(None)
}

fn refusal(head: &[u8], error: httparse::Error) -> Malformed {
    match error {
        httparse::Error::TooManyHeaders => Malformed { status: 431, why: "too many header fields" },
        httparse::Error::Version if names_a_version(head) => {
            Malformed { status: 505, why: "only HTTP/1.0 and HTTP/1.1 are spoken" }
        }
        _ => Malformed::bad("the head is malformed"),
    }
}

/// Whether the request line is well formed but for the version, which is not one of ours.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ').skip(2);
    let (version, None) = (words.next().unwrap_or_default(), words.next()) else { return false };
    matches!(version, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'])
}

/// The target in origin form, and the authority that it names itself.
fn split_target<'h>(method: &str, target: &'h str) -> Result<(&'h str, Option<&'h str>), Malformed> {
    if method == "CONNECT" {
        return Err(Malformed { status: 501, why: "CONNECT is not offered" });
    }
    if !target.bytes().all(|byte| matches!(byte, b'!'..=b'~')) || target.contains('#') {
        return Err(Malformed::bad("the request target has characters that must be escaped"));
    }
    if target.starts_with('/') {
        return Ok((target, None));
    }
    let rest = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://")).map(|_| &target[7..]);
    let Some(rest) = rest else { return Err(Malformed::bad("the request target is not a path")) };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let path = if rest[end..].is_empty() { "/" } else { &rest[end..] };
    if !path.starts_with('/') {
        return Err(Malformed::bad("the request target has no path"));
    }
    Ok((path, Some(&rest[..end])))
}

/// What the first look at the fields tells.
#[derive(Default)]
struct Found<'h> {
    host: Option<&'h [u8]>,
    framing: Framing,
    connection: Connection<'h>,
    kept: Kept,
    said: Said<'h>,
    websocket: bool,
    expects: bool,
    trailers: &'h [u8],
}

fn collect<'h>(head: &[u8], headers: &[httparse::Header<'h>]) -> Result<Found<'h>, Malformed> {
    let mut found = Found::default();
    for (at, header) in headers.iter().enumerate() {
        let value = header.value;
        if !value.is_ascii() {
            return Err(Malformed::bad("a header field has bytes outside of ASCII"));
        }
        match Field::of(header.name) {
            Field::Host => {
                if found.host.replace(value).is_some() {
                    return Err(Malformed::bad("more than one Host"));
                }
            }
            Field::ContentLength | Field::TransferEncoding if !lines::is_unpadded(head, value) => {
                return Err(Malformed::bad("a framing field with white space"));
            }
            Field::ContentLength => found.framing.content_length(value)?,
            Field::TransferEncoding => found.framing.transfer_encoding(value)?,
            Field::Disguised => return Err(Malformed::bad("a framing field with an underscore")),
            Field::Expect if value.eq_ignore_ascii_case(b"100-continue") => found.expects = true,
            Field::Expect => return Err(Malformed { status: 417, why: "Expect other than 100-continue" }),
            Field::Upgrade => found.websocket = value.eq_ignore_ascii_case(b"websocket"),
            Field::Connection => found.connection.add(value)?,
            Field::XForwardedFor => found.said.x_for.push(value),
            Field::XForwardedProto => found.said.x_proto = Some(value),
            Field::XForwardedHost => found.said.x_host = Some(value),
            Field::Forwarded => found.said.forwarded.push(value),
            Field::Trailer => {
                found.trailers = value;
                found.kept.add(at);
            }
            Field::EndToEnd => found.kept.add(at),
            Field::HopByHop | Field::Forged => {}
        }
    }
    Ok(found)
}

fn write(
    request: &httparse::Request<'_, '_>,
    head: &[u8],
    peer: &Peer,
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<RequestHead, Malformed> {
    let (name, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    if target.len() > limits.target_bytes {
        return Err(Malformed { status: 414, why: "the request target is too long" });
    }
    let version = Version::of(request.version);
    let (path, own_authority) = split_target(name, target)?;
    let found = collect(head, request.headers)?;
    let mut host = String::new();
    let authority = authority(found.host, own_authority, &mut host)?;
    let method = Method::of(name);
    let body = found.framing.body(version)?.unwrap_or(Body::None);
    if matches!(method, Method::Get | Method::Head) && body != Body::None {
        // RFC 9110 section 9.3.1: without meaning, and known from request smuggling.
        return Err(Malformed::bad("a GET or HEAD with a body"));
    }
    let upgrade = found.connection.upgrade
        && found.websocket
        && method == Method::Get
        && version == Version::Http11
        && body == Body::None;
    let expects = found.expects && body != Body::None && version == Version::Http11;

    out.extend_from_slice(name.as_bytes());
    out.push(b' ');
    out.extend_from_slice(path.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    out.extend_from_slice(authority);
    out.extend_from_slice(b"\r\n");
    super::write_kept(request.headers, found.kept, &found.connection, out);
    peer.write(&found.said, authority, out);
    if expects {
        out.extend_from_slice(b"Expect: 100-continue\r\n");
    }
    if upgrade {
        out.extend_from_slice(b"Connection: upgrade\r\nUpgrade: websocket\r\n");
    }
    super::write_framing(body, found.framing.length(), out);
    out.extend_from_slice(b"\r\n");
    let keep_alive = version == Version::Http11 && !found.connection.close;
    let trailers = found.trailers.into();
    Ok(RequestHead { method, version, body, host, keep_alive, upgrade, expects, trailers, bytes: head.len() })
}

/// The authority a request is for. An absolute target and `Host` must agree (RFC 9112 section 3.2.2 would let
/// the target win; whoever sends two names has a reason to).
fn authority<'h>(
    header: Option<&'h [u8]>,
    own: Option<&'h str>,
    host: &mut String,
) -> Result<&'h [u8], Malformed> {
    match (header, own) {
        (Some(header), Some(own)) if !header.eq_ignore_ascii_case(own.as_bytes()) => {
            Err(Malformed::bad("Host and request target disagree"))
        }
        (Some(authority), _) => host::parse(authority, host).map(|()| authority),
        // HTTP/1.1 demands it of every request, whatever the target says (RFC 9112 section 3.2).
        (None, _) => Err(Malformed::bad("no Host")),
    }
}
