//! What a field's name means to a proxy.

use super::lines::MAX_FIELDS;

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
            7 if is("upgrade") => Self::Upgrade,
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
    const FORBIDDEN: [&str; 16] = [
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
        "trailer",
        "vary",
        "www-authenticate",
    ];
    Field::of(name) != Field::EndToEnd || FORBIDDEN.iter().any(|other| name.eq_ignore_ascii_case(other))
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

impl<'h> Connection<'h> {
    pub(super) fn add(&mut self, value: &'h [u8]) {
        for element in elements(value) {
            match element {
                _ if element.eq_ignore_ascii_case(b"close") => self.close = true,
                _ if element.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                _ if element.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                other => self.nominated.push(other),
            }
        }
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
