//! What a head seems to ask for that is not accepted, or not there as a whole. Only the form of the refusal hangs on
//! it.

use super::host;

/// Longer tokens are none.
const TOKEN_MAX: usize = 4 << 10;

/// The parts that can be made out.
#[derive(Debug, Default)]
pub(crate) struct Glimpse<'h> {
    /// Path and query.
    pub(crate) path: &'h [u8],
    /// The host it is for, if that is there and is one.
    pub(crate) host: Option<String>,
    /// Whether an `Authorization` is there that can't hold a token.
    pub(crate) bad_token: bool,
}

/// Looks at the beginning of `bytes`.
pub(crate) fn glimpse(bytes: &[u8]) -> Glimpse<'_> {
    let mut lines = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    let target = lines.next().and_then(|line| line.split(|&byte| byte == b' ').nth(1)).unwrap_or_default();
    let mut seen = Glimpse { path: path(target), ..Glimpse::default() };
    for line in lines.take_while(|line| !line.is_empty()) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"host") {
            let mut parsed = String::new();
            seen.host = host::parse(value, &mut parsed).ok().map(|()| parsed);
        } else if name.eq_ignore_ascii_case(b"authorization") {
            seen.bad_token |= !value.is_ascii() || value.len() > TOKEN_MAX;
        }
    }
    seen
}

/// Without scheme and host, should they be there.
fn path(target: &[u8]) -> &[u8] {
    if target.starts_with(b"/") {
        return target;
    }
    let rest = memchr::memmem::find(target, b"://").map_or(target, |scheme| &target[scheme + 3..]);
    memchr::memchr(b'/', rest).map_or(b"", |slash| &rest[slash..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_seen() {
        let seen = glimpse(
            b"GET /api?x HTTP/1.1\r\nHost: Localhost:80\r\nauthorization: Bearer \xe9\r\n\r\nHost: b",
        );
        assert_eq!(
            (seen.path, seen.host.as_deref(), seen.bad_token),
            (&b"/api?x"[..], Some("localhost"), true)
        );
        let begun = glimpse(b"GET /api/aaa");
        assert_eq!((begun.path, begun.host, begun.bad_token), (&b"/api/aaa"[..], None, false));
        assert_eq!(glimpse(b"GET http://a/api HTTP/1.1\r\n").path, b"/api");
        assert_eq!(glimpse(b"GET /api?x=http://a/b").path, b"/api?x=http://a/b");
        let long = format!("GET / HTTP/1.1\r\nAuthorization: Bearer {}", "a".repeat(TOKEN_MAX));
        assert!(glimpse(long.as_bytes()).bad_token);
    }

    #[test]
    fn of_what_is_no_head_nothing_is_seen() {
        for bytes in ["", "\n", "\r\n\r\n", "GET", "GET ", ":::\n:\n", "\0\n\u{e9}:"] {
            assert_eq!(
                (glimpse(bytes.as_bytes()).path, glimpse(bytes.as_bytes()).host),
                (&b""[..], None),
                "{bytes}"
            );
        }
    }
}
