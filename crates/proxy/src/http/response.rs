//! Response heads. A malformed one never reaches the client: it is answered with 502 instead.

use std::mem::MaybeUninit;

use super::{
    Malformed, Version,
    field::{Connection, Field, Kept},
    framing::{Body, Framing},
    lines,
    request::{Method, RequestHead},
};
use crate::config::Limits;

/// A response that was understood.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    /// As the application frames it.
    pub(crate) body: Body,
    /// Whether the application's connection can take another request after it.
    pub(crate) keep_alive: bool,
    /// The trailers it announces.
    pub(crate) trailers: Box<[u8]>,
    /// Bytes it came in.
    pub(crate) bytes: usize,
}

/// How a response is written for a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseShape {
    /// No other answer will follow on this connection.
    pub(crate) close: bool,
    /// The client speaks it.
    pub(crate) version: Version,
}

impl ResponseHead {
    /// Parses the head at the beginning of `bytes`, an answer to `request`, and appends to `out` the one that
    /// goes on; `None` when more bytes are needed. `shape` of the status decides how the client is served.
    pub(crate) fn parse(
        bytes: &[u8],
        request: &RequestHead,
        limits: &Limits,
        shape: ResponseShape,
        out: &mut Vec<u8>,
    ) -> Result<Option<Self>, Malformed> {
        let Some(head) = lines::head(bytes, limits.head_bytes, &mut 0)? else { return Ok(None) };
        let mut storage = [const { MaybeUninit::uninit() }; lines::MAX_FIELDS];
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut response, head, &mut storage) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            _ => return Err(Malformed::bad("the head is malformed")),
        }
        write(&response, head.len(), request, shape, out).map(Some)
    }

    /// An answer before the answer (RFC 9110 section 15.2).
    pub(crate) fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

#[derive(Default)]
struct Found<'h> {
    framing: Framing,
    connection: Connection<'h>,
    kept: Kept,
    websocket: bool,
    trailers: &'h [u8],
}

fn collect<'h>(headers: &[httparse::Header<'h>]) -> Result<Found<'h>, Malformed> {
    let mut found = Found::default();
    for (at, header) in headers.iter().enumerate() {
        match Field::of(header.name) {
            Field::ContentLength => found.framing.content_length(header.value)?,
            Field::TransferEncoding => found.framing.transfer_encoding(header.value)?,
            Field::Upgrade => found.websocket = header.value.eq_ignore_ascii_case(b"websocket"),
            Field::Connection => found.connection.add(header.value)?,
            Field::Trailer => {
                found.trailers = header.value;
                found.kept.add(at);
            }
            // What would be a client's to say or the proxy's own has no meaning in an answer.
            Field::EndToEnd | Field::Expect | Field::Host | Field::Forged => found.kept.add(at),
            _ => {}
        }
    }
    Ok(found)
}

fn write(
    response: &httparse::Response<'_, '_>,
    bytes: usize,
    request: &RequestHead,
    shape: ResponseShape,
    out: &mut Vec<u8>,
) -> Result<ResponseHead, Malformed> {
    let status = response.code.unwrap_or(0);
    if !(100..600).contains(&status) {
        return Err(Malformed::bad("no such status"));
    }
    let version = Version::of(response.version);
    let found = collect(response.headers)?;
    let framed = found.framing.body(version)?;
    let switches = status == 101;
    if switches && !(request.upgrade && found.websocket) {
        return Err(Malformed::bad("a switch of protocols nobody asked for"));
    }
    let bodiless = status < 200 || status == 204 || status == 304 || request.method == Method::Head;
    let body = if bodiless { Body::None } else { framed.unwrap_or(Body::UntilClose) };
    let persistent =
        if version == Version::Http11 { !found.connection.close } else { found.connection.keep_alive };
    // Some applications send the body that such an answer only announces; it would be the next client's answer.
    let announces = !matches!(framed, None | Some(Body::None | Body::Length(0)));
    let doubtful = request.method == Method::Head || (status >= 200 && bodiless && announces);
    let keep_alive = persistent && body != Body::UntilClose && !doubtful;

    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(response.reason.unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    super::write_kept(response.headers, found.kept, &found.connection, out);
    if switches {
        out.extend_from_slice(b"Connection: upgrade\r\nUpgrade: websocket\r\n");
    } else if status >= 200 {
        if shape.close {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        // The length of what a HEAD or a 304 stands for is information, not framing.
        let stated = found.framing.length().filter(|_| status != 204);
        let body = if bodiless || shape.version == Version::Http11 { body } else { plain(body) };
        super::write_framing(body, stated, out);
    }
    out.extend_from_slice(b"\r\n");
    Ok(ResponseHead { status, body, keep_alive, trailers: found.trailers.into(), bytes })
}

/// For a client that knows no chunks: the end of the connection is the end of the body.
fn plain(body: Body) -> Body {
    if matches!(body, Body::Length(_)) { body } else { Body::None }
}
