//! Paths with a query.

/// A path that grows by pairs.
#[derive(Clone)]
pub(super) struct Query(String);

impl Query {
    pub(super) fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    pub(super) fn with(mut self, key: &str, value: &str) -> Self {
        let mark = if self.0.contains('?') { '&' } else { '?' };
        self.0.push_str(&format!("{mark}{key}={}", encode(value)));
        self
    }

    /// What needs no encoding and would only get longer by it.
    pub(super) fn with_plain(mut self, key: &str, value: &str) -> Self {
        let plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | ':' | ',' | '@');
        if !value.chars().all(plain) {
            return self.with(key, value);
        }
        let mark = if self.0.contains('?') { '&' } else { '?' };
        self.0.push_str(&format!("{mark}{key}={value}"));
        self
    }

    /// Nothing, where there is no value.
    pub(super) fn maybe(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_path(self) -> String {
        self.0
    }
}

/// Percent-encoding of a query value or of a part of a path (RFC 3986 section 2.1).
pub(super) fn encode(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    value
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_and_missing_ones_left_out() {
        let query = Query::new("/api/logs").maybe("level", None).with("since", "12:30+02:00");
        assert_eq!(
            query.with("grep", "a b&é").into_path(),
            "/api/logs?since=12%3A30%2B02%3A00&grep=a%20b%26%C3%A9"
        );
    }
}
