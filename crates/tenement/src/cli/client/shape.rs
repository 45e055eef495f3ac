//! What an answer must have to be one of tenement's. Whatever else stands at the address may answer 200 too.

use hyper::Method;
use serde_json::Value;

/// What is relied on, by what was asked.
enum Shape {
    /// Texts that are not empty.
    Members(&'static [&'static str]),
    /// A list, and texts of each of its objects.
    List(&'static str, &'static [&'static str]),
    /// Nothing, with the status 204.
    Nothing,
}

impl Shape {
    fn of(method: &Method, path: &str) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match parts[..] {
            ["api", "instances"] if method == Method::GET => Self::List("instances", &["instance", "status"]),
            ["api", "instances", ..] => Self::Members(&["instance", "status"]),
            ["api", "logs", "histogram"] => Self::List("buckets", &["start"]),
            ["api", "logs", "retention"] => Self::List("services", &["service"]),
            ["api", "logs", "reindex"] => Self::Members(&["status"]),
            ["api", "logs", ..] => Self::List("logs", &["instance"]),
            ["api", "events"] => Self::List("events", &["instance"]),
            ["api", "metrics"] => Self::List("instances", &["instance"]),
            ["api", "metrics", ..] => Self::Members(&["instance"]),
            ["api", "links"] => Self::Members(&["url", "code", "expires_at"]),
            ["api", "reload"] => Self::List("settings", &["key", "takes_effect"]),
            ["api", "upgrade"] => Self::Members(&["from", "to"]),
            ["api", "services"] => Self::List("services", &["name"]),
            ["api", "status"] => Self::Members(&["version"]),
            ["api", "tokens"] if method == Method::POST => Self::Members(&["id", "token"]),
            ["api", "tokens"] => Self::List("tokens", &["id"]),
            ["api", "tokens", ..] => Self::Nothing,
            _ => Self::Members(&[]),
        }
    }
}

/// What a good answer lacks, in words.
pub(super) fn lack(method: &Method, path: &str, answer: &Value) -> Option<String> {
    match Shape::of(method, path) {
        Shape::Nothing if answer.is_null() => None,
        Shape::Nothing => Some("the answer has a body".into()),
        Shape::Members(members) => missing(answer, members),
        Shape::List(list, members) => match answer.get(list) {
            Some(Value::Array(entries)) => entries.iter().find_map(|entry| missing(entry, members)),
            _ => Some(format!("the answer has no list '{list}'")),
        },
    }
}

fn missing(object: &Value, members: &[&str]) -> Option<String> {
    if !object.is_object() {
        return Some("the answer is no object".into());
    }
    let there = |member: &&&str| object[**member].as_str().is_some_and(|text| !text.is_empty());
    let missing = members.iter().find(|member| !there(member))?;
    Some(format!("the answer has no '{missing}'"))
}

/// What one object of an answer without an end lacks.
pub(super) fn lack_of_line(line: &Value) -> Option<String> {
    let is_mark = line.get("dropped").is_some_and(Value::is_u64);
    if is_mark { None } else { missing(line, &["instance"]) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // faults: L2
    #[test]
    fn what_is_relied_on_has_to_be_there() {
        let good = |method: &Method, path, answer| lack(method, path, &answer).is_none();
        let (get, post, delete) = (&Method::GET, &Method::POST, &Method::DELETE);
        for wrong in [json!([]), json!({}), json!(null), json!("x"), json!({ "logs": [[]], "tokens": [{}] })]
        {
            for (method, path) in [
                (get, "/api/instances?usage=true"),
                (post, "/api/instances?wait=false"),
                (delete, "/api/instances/api/a"),
                (get, "/api/logs/api/a?limit=1"),
                (post, "/api/logs/retention"),
                (post, "/api/reload?dry_run=true"),
                (get, "/api/events"),
                (get, "/api/metrics"),
                (get, "/api/status"),
                (get, "/api/tokens"),
                (post, "/api/tokens"),
                (post, "/api/links"),
            ] {
                assert!(!good(method, path, wrong.clone()), "{method} {path} {wrong}");
            }
        }
        assert!(good(get, "/api/tokens", json!({ "tokens": [{ "id": "t" }] })));
        assert!(!good(post, "/api/tokens", json!({ "id": "t", "token": "" })));
        assert!(good(delete, "/api/tokens/t", json!(null)) && !good(delete, "/api/tokens/t", json!({})));
        assert!(lack_of_line(&json!({ "dropped": 3 })).is_none() && lack_of_line(&json!([])).is_some());
    }
}
