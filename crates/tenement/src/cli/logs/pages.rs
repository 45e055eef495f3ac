//! The newest lines, page by page, each page older than the one before.

use std::{collections::BTreeMap, fmt::Display};

use serde_json::Value;

use super::super::{
    client::{Client, Error},
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

/// The newest so many lines as texts, a page in each, newest page first. `render` gets a line and says how it is
/// shown, if it is.
pub(super) fn newest(
    client: &Client,
    count: usize,
    query: impl Fn() -> Query,
    mut render: impl FnMut(&Value) -> Option<String>,
) -> Result<Vec<String>, Error> {
    let mut pages = Vec::new();
    let mut first: BTreeMap<String, u64> = BTreeMap::new();
    let mut got = 0;
    while got < count || got == 0 {
        let query = query().with("limit", &PAGE.min(count - got).to_string());
        let (before, all) = places(&query, first.iter().map(|(instance, seq)| (instance.as_str(), *seq)));
        let query = match (got, all) {
            (0, _) => query,
            (_, true) => query.with_plain("before", &before),
            (_, false) => query.with("offset", &got.to_string()),
        };
        let answer = client.get(&query.into_path())?;
        let lines = answer["logs"].as_array().map(Vec::as_slice).unwrap_or_default();
        // Fewer than were asked for when they are long.
        got += lines.len();
        let mut page = String::new();
        let seen = first.clone();
        for line in lines {
            let place = line["instance"].as_str().zip(line["seq"].as_u64());
            // Lines that came in between push newer ones into a page that is found by its offset.
            if place.is_some_and(|(instance, seq)| seen.get(instance).is_some_and(|&first| seq >= first)) {
                continue;
            }
            if let Some((instance, seq)) = place {
                let first = first.entry(instance.to_owned()).or_insert(seq);
                *first = seq.min(*first);
            }
            if let Some(text) = render(line) {
                page.push_str(&text);
                page.push('\n');
            }
        }
        pages.push(page);
        if lines.is_empty() || answer["pagination"]["has_more"] != true {
            break;
        }
    }
    Ok(pages)
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
