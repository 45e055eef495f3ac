//! What a field's name means to a proxy.

use super::{Malformed, lines::MAX_FIELDS};

/// How the proxy treats a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// Goes on as it is.
    EndToEnd,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Expect,
    /// Announces trailers.
    Trailer,
    /// For one hop only (RFC 9110 section 7.6.1), or never meant for an application behind a proxy.
    HopByHop,
    /// Says where a request comes from; only the proxy does.
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    Forwarded,
    /// Claims to be the proxy's: other spellings of the above, and names it may use some day.
    Forged,
    /// Another spelling of a framing field: some servers take `_` for `-`.
    Disguised,
}

impl Field {
    pub(super) fn of(name: &str) -> Self {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            2 if is("te") => Self::HopByHop,
            4 if is("host") => Self::Host,
            6 if is("expect") => Self::Expect,
            5 if is("proxy") => Self::HopByHop, // becomes HTTP_PROXY in CGI-like interfaces
            7 if is("upgrade") => Self::Upgrade,
            7 if is("trailer") => Self::Trailer,
            9 if is("forwarded") => Self::Forwarded,
            9 if is("x-real-ip") => Self::Forged,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::HopByHop,
            14 if is("content-length") => Self::ContentLength,
            14 if is("http2-settings") => Self::HopByHop,
            15 if is("x-forwarded-for") => Self::XForwardedFor,
            16 if is("x-forwarded-host") => Self::XForwardedHost,
            17 if is("x-forwarded-proto") => Self::XForwardedProto,
            17 if is("transfer-encoding") => Self::TransferEncoding,
            14 if is("content_length") => Self::Disguised,
            17 if is("transfer_encoding") => Self::Disguised,
            _ if begins(name, "proxy-") => Self::HopByHop,
            _ if begins(name, "x-forwarded-") || begins(name, "x-tenement-") => Self::Forged,
            _ if name.as_bytes().contains(&b'_') && forged_by_underscore(name) => Self::Forged,
            _ => Self::EndToEnd,
        }
    }
}

fn begins(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// CGI-like interfaces turn `-` into `_`; there, `X_Forwarded_For` would pass for the proxy's own field.
fn forged_by_underscore(name: &str) -> bool {
    Field::of(&name.replace('_', "-")) != Field::EndToEnd
}

/// Fields that must not come in a trailer section (RFC 9110 section 6.5.1): framing, routing, authentication,
/// request modifiers, and what says how the content is to be read.
pub(super) fn is_forbidden_in_trailers(name: &str) -> bool {
    const FORBIDDEN: [&str; 15] = [
        "age",
        "authorization",
        "cache-control",
        "content-encoding",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expires",
        "location",
        "max-forwards",
        "range",
        "set-cookie",
        "vary",
        "www-authenticate",
    ];
    Field::of(name) != Field::EndToEnd || FORBIDDEN.iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// What the names of fields have in them that can be known only after the content: its integrity, its fate, its cost.
const TRAILERS: [&str; 12] = [
    "checksum",
    "crc32",
    "digest",
    "etag",
    "grpc-",
    "md5",
    "sha1",
    "sha256",
    "sha512",
    "signature",
    "sum",
    "timing",
];

/// Whether a field of a trailer section goes on: only one whose name has a place there, or that the message
/// `announced` in its `Trailer` field. The recipient may put it among the fields of the head without a thought.
pub(super) fn goes_on_in_trailers(name: &str, announced: &[u8]) -> bool {
    let lower = name.to_ascii_lowercase();
    TRAILERS.iter().any(|known| lower.contains(known))
        || elements(announced).any(|element| element.eq_ignore_ascii_case(name.as_bytes()))
}

/// The elements of a comma-separated list, without white space; empty ones left out.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// What `Connection` says (RFC 9110 section 7.6.1).
#[derive(Debug, Default)]
pub(super) struct Connection<'h> {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// Fields that it names: they end at this hop.
    nominated: Vec<&'h [u8]>,
}

/// Fields that one head may nominate: each is compared with each field.
const MAX_NOMINATED: usize = 32;

impl<'h> Connection<'h> {
    pub(super) fn add(&mut self, value: &'h [u8]) -> Result<(), Malformed> {
        for element in elements(value) {
            match element {
                _ if element.eq_ignore_ascii_case(b"close") => self.close = true,
                _ if element.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                _ if element.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                _ if self.nominated.len() == MAX_NOMINATED => {
                    return Err(Malformed::bad("Connection names too many fields"));
                }
                other => self.nominated.push(other),
            }
        }
        Ok(())
    }

    pub(super) fn ends(&self, name: &str) -> bool {
        self.nominated.iter().any(|element| element.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// Which fields of a head go on, by their places.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept(u128);

const _: () = assert!(MAX_FIELDS <= u128::BITS as usize);

impl Kept {
    pub(super) fn add(&mut self, at: usize) {
        self.0 |= 1 << at;
    }

    pub(super) fn contains(self, at: usize) -> bool {
        self.0 & 1 << at != 0
    }
}
