//! Conditions on fields, in the forms a request may have them.

use serde::Deserialize;
use serde_json::Value;
use tenement_logs::Field;
use utoipa::IntoParams;

use super::super::ApiError;

/// The most conditions of a request.
const MOST: usize = 16;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // Described by this, read by `of_pair`.
pub(super) struct Fields {
    /// Only lines that are a JSON object or have logfmt pairs, with a field that meets this: `status>=500`, and `=`, `!=`,
    /// `>`, `<`, `<=`, `~`, `!~` with a regular expression. Several times: all of them. `field.status>=500` is the same.
    #[param(max_items = 16, pattern = "^[a-z]+=[a-z0-9]*$", example = json!(["status>=500"]))]
    field: Option<Vec<String>>,
}

/// The condition that one pair of a query string is, if it is one: `field=status>=500`, or `field.status>=500`, whose
/// operator is divided by the first `=`.
pub(super) fn of_pair(key: &str, value: &str) -> Option<String> {
    if key == "field" {
        return Some(value.to_owned());
    }
    let rest = key.strip_prefix("field.")?;
    let operator = rest.find(['=', '!', '>', '<', '~']).map(|at| &rest[at..]);
    Some(match operator {
        // `status=500`, `status>=500`, `status!=500`.
        None | Some(">" | "<" | "!" | "=") => format!("{rest}={value}"),
        // The operator was encoded, and is whole.
        Some(">=" | "<=" | "!=" | "~" | "!~" | "=~" | "==") => format!("{rest}{value}"),
        // `status>500` has no `=` at all, `path~a=b` one in its value.
        Some(_) if value.is_empty() => rest.to_owned(),
        Some(_) => format!("{rest}={value}"),
    })
}

/// The texts of a member that is a list of them.
pub(super) fn list(key: &str, values: &[Value]) -> Result<Vec<String>, ApiError> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let texts: Option<Vec<_>> = values.iter().map(text).collect();
    texts.ok_or_else(|| ApiError::bad_request(format!("'{key}' must be a list of strings")))
}

/// Those of a body's member.
pub(super) fn of_member(member: Option<&Value>) -> Result<Vec<String>, ApiError> {
    match member {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => list("fields", values),
        Some(_) => list("fields", &[Value::Null]),
    }
}

pub(super) fn parse(texts: &[String]) -> Result<Vec<Field>, ApiError> {
    if texts.len() > MOST {
        return Err(ApiError::bad_request(format!("There are more than {MOST} conditions on fields")));
    }
    let parsed = texts.iter().map(|text| Field::parse(text));
    parsed.map(|field| field.map_err(|error| ApiError::bad_request(format!("field: {error}")))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_the_same_however_a_query_string_divides_it() {
        let of = |key, value| of_pair(key, value).unwrap();
        assert_eq!(of("field", "status>=500"), "status>=500");
        assert_eq!(of("field.status", "500"), "status=500");
        assert_eq!(of("field.status>", "500"), "status>=500");
        assert_eq!(of("field.status!", "500"), "status!=500");
        assert_eq!(of("field.status>500", ""), "status>500");
        assert_eq!(of("field.status>=500", ""), "status>=500");
        assert_eq!(of("field.status<=", "500"), "status<=500");
        assert_eq!(of("field.status", ""), "status=");
        assert_eq!(of("field.path~^/a", ""), "path~^/a");
        assert_eq!(of("field.path~", "^/a"), "path~^/a");
        assert_eq!(of("field.path~a", "b"), "path~a=b");
        assert_eq!(of("field.path", "~^/a"), "path=~^/a");
        assert_eq!(of("field.http.status", "502"), "http.status=502");
        assert_eq!((of_pair("fields", "a=1"), of_pair("limit", "1")), (None, None));
    }
}
