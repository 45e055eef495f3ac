//! `POST /api/logs/search`.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    super::{
        Api, ApiError, Caller,
        body::{self, JsonBody},
        delivery,
        page::{Pagination, Whole},
    },
    line::Line,
    page,
    query::LogsQuery,
};

/// The longest query, in characters.
const QUERY_MAX: usize = 1000;

/// What is looked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LogSearch)]
#[allow(dead_code)] // Described by this, read by `wanted`, which says what is wrong with each member.
struct Search {
    /// Words that a line must all have, in upper or lower case; `"in quotes"` as they stand together.
    #[schema(min_length = 1, max_length = 1000, pattern = r"\S", example = "database error")]
    query: String,
    /// At most so many lines; 50 without it. Above 1000 it is 1000.
    #[schema(inline, value_type = Option<Whole>)]
    limit: Option<u64>,
    /// Skips so many of the newest.
    #[schema(inline, value_type = Option<Whole>)]
    offset: Option<u64>,
    /// Not before: `30s`, `5m`, `1h`, `7d` ago, or RFC 3339.
    #[schema(pattern = "^[0-9]{1,9}[smhd]$", example = "1h")]
    since: Option<String>,
    /// Not after.
    #[schema(pattern = "^[0-9]{1,9}[smhd]$")]
    until: Option<String>,
    /// Of this service only.
    #[schema(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")]
    service: Option<String>,
    /// Of this instance only: `service:id`, or the id next to `service`.
    #[schema(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?:[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
    instance: Option<String>,
    /// Of exactly these levels: `warn,error`.
    #[schema(pattern = "^(debug|info|warn|error)(,(debug|info|warn|error))*$")]
    level: Option<String>,
    /// Of this level and above.
    #[schema(pattern = "^(debug|info|warn|error)$")]
    min_level: Option<String>,
}

const KEYS: [&str; 9] =
    ["query", "limit", "offset", "since", "until", "service", "instance", "level", "min_level"];

/// What was found.
#[derive(Serialize, ToSchema)]
#[schema(as = SearchResult)]
pub(super) struct Found {
    /// The newest first.
    results: Vec<Line>,
    /// All that match, before `limit` and `offset`.
    total: u64,
    pagination: Pagination,
}

/// Search the logs
///
/// Also those of instances that are gone, and from before the daemon was started, until their retention ends.
#[utoipa::path(
    post, path = "/api/logs/search", operation_id = "search_logs", tag = "logs",
    request_body(content = Search, example = json!({ "query": "database error", "limit": 100, "since": "1h" })),
    responses((status = 200, description = "The lines that match", body = Found)),
    security(("bearer" = ["read"])),
)]
pub(super) async fn search(
    State(api): State<Api>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let (request, terms) = wanted(&body::object(&body)?)?;
    let mut query = request.query(&caller)?;
    query.terms = terms;
    let (limit, held) = (query.limit, caller.share().answer().await);
    let found = page(&api, query).await?;
    let results = found.lines.iter().rev().map(Line::from).collect();
    let pagination = request.page()?.pagination(limit, found.total, found.has_more);
    delivery::json(&Found { results, total: found.total, pagination }, held)
}

fn wanted(members: &BTreeMap<String, Value>) -> Result<(LogsQuery, Vec<String>), ApiError> {
    body::only(&KEYS, members)?;
    let given = |key: &str| members.get(key).filter(|value| !value.is_null());
    let text = |key: &str| match given(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(ApiError::bad_request(format!("'{key}' must be a string"))),
    };
    let number = |key: &str| match given(key) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(Some(match number.as_f64() {
            // However it is written, and however large.
            Some(whole) if !number.is_u64() && whole >= 0.0 && whole.fract() == 0.0 => {
                (whole as u64).to_string()
            }
            // What is no whole number is refused where one of a query string is.
            _ => number.to_string(),
        })),
        Some(_) => Err(ApiError::bad_request(format!("'{key}' must be a whole number, 0 or more"))),
    };
    let query = text("query")?.ok_or_else(|| ApiError::bad_request("'query' is missing"))?;
    let request = LogsQuery {
        limit: number("limit")?,
        offset: number("offset")?,
        service: text("service")?,
        instance: text("instance")?,
        level: text("level")?,
        min_level: text("min_level")?,
        since: text("since")?,
        until: text("until")?,
        ..LogsQuery::default()
    };
    Ok((request, terms(&query)?))
}

/// The words of a query; what stands in quotes is one. A quote that nobody closes is a character like any other.
fn terms(query: &str) -> Result<Vec<String>, ApiError> {
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
    use super::*;

    // faults: A9
    #[test]
    fn words_phrases_and_what_only_looks_like_syntax() {
        let of = |query: &str| terms(query).ok();
        let words = |all: &[&str]| {
            let mut all: Vec<_> = all.iter().map(ToString::to_string).collect();
            all.sort();
            Some(all)
        };
        assert_eq!(of(" database  error "), words(&["database", "error"]));
        assert_eq!(of("\"connection refused\" pg"), words(&["connection refused", "pg"]));
        assert_eq!(of("say \"hi"), words(&["say", "\"hi"]));
        assert_eq!(of("a\"b c\""), words(&["a\"b", "c\""]));
        assert_eq!(of("\"a\"b"), words(&["a", "b"]));
        assert_eq!(of("NEAR(x* OR -y:z'"), words(&["NEAR(x*", "OR", "-y:z'"]));
        for empty in ["", "  ", "\"\"", "\" \""] {
            assert_eq!(of(empty), None);
        }
        assert_eq!((of(&"é ".repeat(500)), of(&"a".repeat(1001))), (words(&["é"]), None));
        assert_eq!(of("\""), words(&["\""]));
    }
}
