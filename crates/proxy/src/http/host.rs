//! Host names of requests (RFC 3986 section 3.2, narrowed to what a tenant can be called).

use super::Malformed;

const BAD: Malformed = Malformed::bad("Host is not a host name");

/// Splits `authority` into host and port and leaves the host in `into`: lower case, without trailing dot.
pub(super) fn parse(authority: &[u8], into: &mut String) -> Result<(), Malformed> {
    let text = std::str::from_utf8(authority).map_err(|_| BAD)?;
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((literal, rest)) => (literal, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some(""))),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, Some("")),
        },
    };
    let port_given = text.len() > host.len() && text.ends_with(|last: char| last != ']');
    let port_is_good = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if !port.is_some_and(|port| if port_given { port_is_good(port) } else { port.is_empty() }) {
        return Err(Malformed::bad("Host has a bad port"));
    }
    into.clear();
    if text.starts_with('[') {
        host.parse::<std::net::Ipv6Addr>().map_err(|_| BAD)?;
        into.push_str(host);
    } else {
        let host = host.strip_suffix('.').unwrap_or(host);
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if host.is_empty() || host.len() > 253 || host.starts_with('.') || !host.bytes().all(known) {
            return Err(BAD);
        }
        into.push_str(host);
    }
    into.make_ascii_lowercase();
    Ok(())
}
