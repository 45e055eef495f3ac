//! What the control plane's server takes for a target. Tenants judge theirs by themselves.

/// Whether the target of a `head` that goes on is one: what isn't would be refused without a word.
///
/// Of a query, only that is refused which browsers escape too; they leave `|` or `{` as they are.
pub(crate) fn is_fit_for_control(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let target = line.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    let query = memchr::memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at(query);
    // RFC 3986 section 3.3.
    !path.iter().any(|byte| br#"<>"`{}|\^"#.contains(byte))
        && !query.iter().any(|byte| br#"<>""#.contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_alone_is_looked_at() {
        let fits =
            |target: &str| is_fit_for_control(format!("GET {target} HTTP/1.1\r\nX: <>\r\n\r\n<>").as_bytes());
        for target in ["/", "/api?a={b|c}^`\\", "/api/%3C?a=?[]", "/a:b@c!$&'()*+,;=~[]"] {
            assert!(fits(target), "{target}");
        }
        for byte in r#"<>"`{}|\^"#.chars() {
            assert!(!fits(&format!("/api/{byte}")), "{byte}");
        }
        for byte in r#"<>""#.chars() {
            assert!(!fits(&format!("/api?a={byte}")), "{byte}");
        }
        assert!(is_fit_for_control(b""));
    }
}
