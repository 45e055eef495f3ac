//! The words that are looked for.

use super::super::ApiError;

/// The longest query, in characters.
const QUERY_MAX: usize = 1000;

/// The words of a query; what stands in quotes is one. A quote that nobody closes is a character like any other.
pub(super) fn words(query: &str) -> Result<Vec<String>, ApiError> {
    if query.chars().count() > QUERY_MAX {
        return Err(ApiError::bad_request(format!("'query' has more than {QUERY_MAX} characters")));
    }
    let mut terms = Vec::new();
    let mut rest = query.trim_start();
    while !rest.is_empty() {
        let phrase = rest.strip_prefix('"').and_then(|rest| rest.split_once('"'));
        let (term, after) = match phrase {
            Some(phrase) => phrase,
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                rest.split_at(end)
            }
        };
        if !term.trim().is_empty() {
            terms.push(term.to_owned());
        }
        rest = after.trim_start();
    }
    if terms.is_empty() {
        return Err(ApiError::bad_request("'query' has no word to look for"));
    }
    // What was said already costs once more otherwise.
    terms.sort_unstable();
    terms.dedup();
    Ok(terms)
}

#[cfg(test)]
mod tests {

    // faults: A9
    #[test]
    fn words_phrases_and_what_only_looks_like_syntax() {
        let of = |query: &str| super::words(query).ok();
        let sorted = |all: &[&str]| {
            let mut all: Vec<_> = all.iter().map(ToString::to_string).collect();
            all.sort();
            Some(all)
        };
        assert_eq!(of(" database  error "), sorted(&["database", "error"]));
        assert_eq!(of("\"connection refused\" pg"), sorted(&["connection refused", "pg"]));
        assert_eq!(of("say \"hi"), sorted(&["say", "\"hi"]));
        assert_eq!(of("a\"b c\""), sorted(&["a\"b", "c\""]));
        assert_eq!(of("\"a\"b"), sorted(&["a", "b"]));
        assert_eq!(of("NEAR(x* OR -y:z'"), sorted(&["NEAR(x*", "OR", "-y:z'"]));
        for empty in ["", "  ", "\"\"", "\" \""] {
            assert_eq!(of(empty), None);
        }
        assert_eq!((of(&"é ".repeat(500)), of(&"a".repeat(1001))), (sorted(&["é"]), None));
        assert_eq!(of("\""), sorted(&["\""]));
    }
}
