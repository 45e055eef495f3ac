//! A configuration that came as JSON, as the TOML it stands for.

use serde_json::value::RawValue;

use super::body::Object;

/// Deeper values are in no configuration.
const DEPTH_MAX: usize = 32;

/// The text of a `tenement.toml` with the members of a JSON object. `null` is what is not there, and `services` is
/// `service`: so an answer of `GET /api/config` can be given back.
///
/// # Errors
/// It is no such object; in words for people.
pub(super) fn to_toml(body: &[u8]) -> Result<String, String> {
    let whole = |error: serde_json::Error| format!("not JSON: {error}");
    let root: Object<&RawValue> = serde_json::from_slice(body).map_err(whole)?;
    if root.0.contains_key("service") && root.0.contains_key("services") {
        return Err("'service' and 'services' are the same: leave one out".to_owned());
    }
    let mut out = String::new();
    for (key, value) in &root.0 {
        let key = if key == "services" { "service" } else { key };
        if value.get() != "null" {
            quote(key, &mut out);
            out.push_str(" = ");
            write(value, 0, &mut out)?;
            out.push('\n');
        }
    }
    Ok(out)
}

fn write(value: &RawValue, depth: usize, out: &mut String) -> Result<(), String> {
    let text = value.get();
    let failed = |error: serde_json::Error| format!("not what is expected: {error}");
    if depth > DEPTH_MAX {
        return Err("values can't be nested that deeply".to_owned());
    }
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: Object<&RawValue> = serde_json::from_str(text).map_err(failed)?;
            let members = members.0.iter().filter(|(_, value)| value.get() != "null");
            out.push('{');
            for (index, (key, value)) in members.enumerate() {
                out.push_str(if index == 0 { " " } else { ", " });
                quote(key, out);
                out.push_str(" = ");
                write(value, depth + 1, out)?;
            }
            out.push_str(" }");
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(failed)?;
            out.push('[');
            for item in items {
                write(item, depth + 1, out)?;
                out.push(',');
            }
            out.push(']');
        }
        Some(b'"') => quote(&serde_json::from_str::<String>(text).map_err(failed)?, out),
        Some(b'n') => return Err("a list can't hold null".to_owned()),
        _ => out.push_str(text),
    }
    Ok(())
}

/// As a basic string (TOML 1.0).
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_become_keys() {
        let body = r#"{ "settings": { "max_restarts": 3, "domain": null },
            "services": { "api": { "command": "run \"\\\u007f\n", "args": ["a", "é"], "autostart": true } } }"#;
        let text = to_toml(body.as_bytes()).unwrap();
        assert_eq!(
            text,
            "\"service\" = { \"api\" = { \"args\" = [\"a\",\"é\",], \"autostart\" = true, \
             \"command\" = \"run \\\"\\\\\\u007F\\u000A\" } }\n\"settings\" = { \"max_restarts\" = 3 }\n"
        );
    }

    #[test]
    fn what_is_no_object_or_says_two_things_is_refused() {
        for body in [
            "{",
            "[1]",
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"service":{},"services":{}}"#,
            r#"{"a":[null]}"#,
        ] {
            assert!(to_toml(body.as_bytes()).is_err(), "{body}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
        assert!(to_toml(deep.as_bytes()).is_err());
    }
}
