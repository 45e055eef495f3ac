//! Entity tags: what somebody has, or means (RFC 9110 sections 8.8.3 and 13.1).

use axum::http::{HeaderMap, HeaderName, header};

/// Whether `If-None-Match` has a tag, compared weakly: what the client has is what there is.
pub(super) fn matches_weakly(asked: &HeaderMap, tag: &str) -> bool {
    has(asked, &header::IF_NONE_MATCH, |one| one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// Whether `If-Match` has a tag, compared strongly: what the client means is what there is. `None`: it does not say.
pub(super) fn matches_strongly(asked: &HeaderMap, tag: &str) -> Option<bool> {
    asked.contains_key(header::IF_MATCH).then(|| has(asked, &header::IF_MATCH, |one| one == tag))
}

/// Tags of this program have no commas in them.
fn has(asked: &HeaderMap, name: &HeaderName, is: impl Fn(&str) -> bool) -> bool {
    let values = asked.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|one| one == "*" || is(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_on_what_is_there_is_strict() {
        let said = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_MATCH, value.parse().unwrap());
            }
            matches_strongly(&headers, "\"a\"")
        };
        assert_eq!(said(&[]), None);
        for yes in [&["\"a\""][..], &["\"b\", \"a\""], &["\"b\"", "\"a\""], &["*"]] {
            assert_eq!(said(yes), Some(true), "{yes:?}");
        }
        for no in [&["W/\"a\""][..], &["a"], &[""], &["\"A\""]] {
            assert_eq!(said(no), Some(false), "{no:?}");
        }
    }
}
