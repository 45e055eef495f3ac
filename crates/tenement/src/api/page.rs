//! Pages of a list: `limit`, `offset`, and what the answer says of them.

use serde_json::{Value, json};

use super::ApiError;

/// Above this a `limit` is clamped.
const LIMIT_MAX: usize = 1000;

/// Which part of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) limit: Option<usize>,
    pub(super) offset: usize,
}

impl Page {
    pub(super) fn parse(limit: Option<&str>, offset: Option<&str>) -> Result<Self, ApiError> {
        let number = |key: &str, text: &str| {
            let refuse = |_| ApiError::bad_request(format!("'{key}' must be a whole number, 0 or more"));
            text.parse::<usize>().map_err(refuse)
        };
        let limit = limit.map(|text| number("limit", text)).transpose()?;
        let offset = offset.map(|text| number("offset", text)).transpose()?;
        Ok(Self { limit: limit.map(|limit| limit.min(LIMIT_MAX)), offset: offset.unwrap_or(0) })
    }

    /// The part of `all` that is on the page, and the `pagination` of the answer.
    pub(super) fn cut<T>(self, all: Vec<T>) -> (Vec<T>, Value) {
        let total = all.len();
        let limit = self.limit.unwrap_or(total);
        let cut: Vec<T> = all.into_iter().skip(self.offset).take(limit).collect();
        let has_more = self.offset.saturating_add(cut.len()) < total;
        (cut, self.pagination(limit, total as u64, has_more))
    }

    pub(super) fn pagination(self, limit: usize, total: u64, has_more: bool) -> Value {
        json!({ "limit": limit, "offset": self.offset, "total": total, "has_more": has_more })
    }
}
