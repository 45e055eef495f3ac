//! `POST /api/logs/search`.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type},
    },
};

use super::{
    super::{
        Api, ApiError, Caller,
        blocking::Abandoned,
        body::{self, JsonBody},
        delivery,
        page::{Pagination, Whole},
    },
    Lines,
    fields::{self, list},
    is_zero,
    line::Line,
    page,
    query::LogsQuery,
};

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
    /// `false`: does not count all that match, which is faster where they are many. `total` may then be that of the lines up to
    /// the end of the page, and one more if there are more.
    count: Option<bool>,
    /// Not before: `30s`, `5m`, `1h`, `7d` ago, or RFC 3339.
    #[schema(pattern = "^[0-9]{1,9}[smhd]$", example = "1h")]
    since: Option<String>,
    /// Not after.
    #[schema(pattern = "^[0-9]{1,9}[smhd]$")]
    until: Option<String>,
    /// Of this service only.
    #[schema(pattern = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")]
    service: Option<String>,
    /// Of these instances only.
    #[schema(inline, value_type = Option<Names>)]
    instance: Option<Value>,
    /// Of this stream only.
    #[schema(pattern = "^(stdout|stderr)$")]
    stream: Option<String>,
    /// Of exactly these levels: `warn,error`.
    #[schema(pattern = "^(debug|info|warn|error)(,(debug|info|warn|error))*$")]
    level: Option<String>,
    /// Of this level and above.
    #[schema(pattern = "^(debug|info|warn|error)$")]
    min_level: Option<String>,
    /// Conditions on fields of JSON and logfmt lines, all of which are met.
    #[schema(max_items = 16, example = json!(["status>=500"]), pattern = "^[a-z]+=[a-z0-9]*$")]
    fields: Option<Vec<String>>,
    /// The next older page: `next_cursor` of the one before. Not together with `offset`.
    #[schema(pattern = "^a~0~0$")]
    cursor: Option<String>,
    /// Also so many lines before and after each, of the same instance; 100 at most.
    #[schema(inline, value_type = Option<Whole>)]
    context: Option<u64>,
    /// Instead of `context`: before each.
    #[schema(inline, value_type = Option<Whole>)]
    context_before: Option<u64>,
    /// Instead of `context`: after each.
    #[schema(inline, value_type = Option<Whole>)]
    context_after: Option<u64>,
}

/// Instances by name: a text, with commas where they are several, or a list.
struct Names;

impl ToSchema for Names {}

impl PartialSchema for Names {
    fn schema() -> RefOr<Schema> {
        const NAME: &str = "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?:[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$";
        let name = || ObjectBuilder::new().schema_type(Type::String).pattern(Some(NAME));
        OneOfBuilder::new().item(name()).item(ArrayBuilder::new().items(name()).min_items(Some(1))).into()
    }
}

const KEYS: [&str; 16] = [
    "query",
    "limit",
    "offset",
    "count",
    "since",
    "until",
    "service",
    "instance",
    "stream",
    "level",
    "min_level",
    "fields",
    "cursor",
    "context",
    "context_before",
    "context_after",
];

/// What was found.
#[derive(Serialize, ToSchema)]
#[schema(as = SearchResult)]
pub(super) struct Found {
    /// The newest first.
    results: Vec<Line>,
    /// All that match, before `limit` and `offset`, unless `count` is false.
    total: u64,
    pagination: Pagination,
    /// There was too much around the lines that were found: some have less than was asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    context_cut: bool,
    /// Parts of the log that can't be read because they are damaged: lines are missing.
    #[serde(skip_serializing_if = "is_zero")]
    damaged: u64,
}

/// Search the logs
///
/// Also those of instances that are gone, and from before the daemon was started, until their retention ends.
#[utoipa::path(
    post, path = "/api/logs/search", operation_id = "search_logs", tag = "logs",
    request_body(content = Search, example = json!({ "query": "database error", "limit": 100, "since": "1h" })),
    responses(
        (status = 200, description = "The lines that match", body = Found),
        (status = 503, description = "It took too long: the message says what to narrow", body = inline(super::super::error::Envelope)),
    ),
    security(("bearer" = ["read"])),
)]
pub(super) async fn search(
    State(api): State<Api>,
    caller: Caller,
    abandoned: Abandoned,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let mut request = wanted(&body::object(&body)?)?;
    drop(body);
    request.abandoned = abandoned;
    let query = request.query(&caller)?;
    let held = caller.share().answer().await;
    let Lines { mut logs, pagination, context_cut, damaged } = page(&api, &request, query).await?;
    logs.reverse();
    delivery::json(&Found { results: logs, total: pagination.total, pagination, context_cut, damaged }, held)
}

fn wanted(members: &BTreeMap<String, Value>) -> Result<LogsQuery, ApiError> {
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
    Ok(LogsQuery {
        query: Some(query),
        limit: number("limit")?,
        offset: number("offset")?,
        count: match given("count") {
            None => None,
            Some(Value::Bool(count)) => Some(*count),
            Some(_) => return Err(ApiError::bad_request("'count' must be true or false")),
        },
        service: text("service")?,
        instance: match given("instance") {
            Some(Value::Array(names)) => Some(list("instance", names)?.join(",")),
            _ => text("instance")?,
        },
        stream: text("stream")?,
        level: text("level")?,
        min_level: text("min_level")?,
        since: text("since")?,
        until: text("until")?,
        fields: fields::of_member(given("fields"))?,
        cursor: text("cursor")?,
        context: number("context")?,
        context_before: number("context_before")?,
        context_after: number("context_after")?,
        ..LogsQuery::default()
    })
}
