//! The newest lines, page by page, each page older than the one before.

use std::fmt::Display;

use serde_json::Value;

use super::super::{
    client::{Client, Error},
    output::warn,
    query::Query,
};

/// More lines than this the API does not give in one answer.
pub(super) const PAGE: usize = 1000;
/// The longest address that is asked for: the daemon takes 8 KiB.
const ADDRESS_MAX: usize = 8000;

/// `SERVICE:ID:PLACE,…`, as many as fit into an address with the rest of it; whether all did.
pub(super) fn places<'a, P: Display>(
    query: &Query,
    places: impl Iterator<Item = (&'a str, P)>,
) -> (String, bool) {
    let mut text = String::new();
    let most = ADDRESS_MAX.saturating_sub(query.len());
    for (instance, place) in places {
        let one = format!("{instance}:{place}");
        if text.len() + one.len() >= most {
            return (text, false);
        }
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&one);
    }
    (text, true)
}

/// The newest so many lines as texts, a page in each, newest page first. `render` gets the lines of one, oldest first.
pub(super) fn newest(
    client: &Client,
    as_json: bool,
    count: usize,
    query: impl Fn() -> Query,
    mut render: impl FnMut(&[Value]) -> String,
) -> Result<Vec<String>, Error> {
    let (mut pages, mut cursor, mut got) = (Vec::new(), None::<String>, 0);
    let mut damaged = 0;
    while got < count || got == 0 {
        let query = query().with("limit", &PAGE.min(count - got).to_string());
        let query = match &cursor {
            Some(cursor) => query.with_plain("cursor", cursor),
            None => query,
        };
        let answer = client.get(&query.into_path())?;
        let lines = answer["logs"].as_array().map(Vec::as_slice).unwrap_or_default();
        damaged = damaged.max(parts_damaged(&answer));
        // Fewer than were asked for when they are long.
        got += lines.iter().filter(|line| line["context"] != true).count();
        pages.push(render(lines));
        cursor = answer["pagination"]["next_cursor"].as_str().map(str::to_owned);
        if lines.is_empty() || cursor.is_none() {
            break;
        }
    }
    warn_of(damaged, as_json);
    Ok(pages)
}

/// How much an answer says is missing from it.
pub(super) fn parts_damaged(answer: &Value) -> u64 {
    answer["damaged"].as_u64().unwrap_or(0)
}

/// Says on standard error that lines are missing, where that is so.
pub(super) fn warn_of(damaged: u64, as_json: bool) {
    if damaged > 0 {
        let text = format!("the log is damaged: lines are missing, as parts of it can't be read ({damaged})");
        warn(&text, as_json);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_fit_into_an_address() {
        let query = Query::new("/api/logs");
        assert_eq!(places(&query, [("a:1", 7), ("b:2", 0)].into_iter()), ("a:1:7,b:2:0".into(), true));
        let many: Vec<String> = (0..10_000).map(|id| format!("api:{id}")).collect();
        let (text, all) = places(&query, many.iter().map(|name| (name.as_str(), 1)));
        assert!(!all && text.len() < ADDRESS_MAX && text.starts_with("api:0:1,api:1:1"));
    }
}
