//! Pages of a list: `limit`, `offset`, and what the answer says of them.

use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ObjectBuilder, Type},
    },
};

use super::ApiError;

/// Above this a `limit` is clamped.
const LIMIT_MAX: usize = 1000;

/// A whole number in a query, however large: what can't be is the same as the most there is.
pub(super) struct Whole;

impl ToSchema for Whole {}

impl PartialSchema for Whole {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).into()
    }
}

/// A query for a page, and nothing else.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// At most so many; everything without it. Above 1000 it is 1000.
    #[param(inline, value_type = Option<Whole>)]
    limit: Option<String>,
    /// Skips so many.
    #[param(inline, value_type = Option<Whole>)]
    offset: Option<String>,
}

impl PageQuery {
    pub(super) fn page(&self) -> Result<Page, ApiError> {
        Page::parse(self.limit.as_deref(), self.offset.as_deref())
    }
}

/// The number that `text`, the value of `key`, is.
pub(super) fn whole(key: &str, text: &str) -> Result<usize, ApiError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ApiError::bad_request(format!("'{key}' must be a whole number, 0 or more")));
    }
    Ok(text.parse().unwrap_or(usize::MAX))
}

/// What of a list is on a page.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Pagination {
    /// As asked for.
    pub(super) limit: usize,
    /// As asked for.
    pub(super) offset: usize,
    /// All there are.
    pub(super) total: u64,
    /// There are further ones.
    pub(super) has_more: bool,
    /// Of logs, when there are further ones: gets the next page as `cursor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) next_cursor: Option<String>,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) limit: Option<usize>,
    pub(super) offset: usize,
}

impl Page {
    pub(super) fn parse(limit: Option<&str>, offset: Option<&str>) -> Result<Self, ApiError> {
        let limit = limit.map(|text| whole("limit", text)).transpose()?;
        let offset = offset.map(|text| whole("offset", text)).transpose()?;
        Ok(Self { limit: limit.map(|limit| limit.min(LIMIT_MAX)), offset: offset.unwrap_or(0) })
    }

    /// The part of `all` that is on the page, and the `pagination` of the answer.
    pub(super) fn cut<T>(self, all: Vec<T>) -> (Vec<T>, Pagination) {
        let total = all.len();
        let limit = self.limit.unwrap_or(total);
        let cut: Vec<T> = all.into_iter().skip(self.offset).take(limit).collect();
        let pagination = self.of(cut.len(), limit, total as u64);
        (cut, pagination)
    }

    /// The `pagination` of an answer with `shown` of `total`.
    pub(super) fn of(self, shown: usize, limit: usize, total: u64) -> Pagination {
        let has_more = (self.offset.saturating_add(shown) as u64) < total;
        self.pagination(limit, total, has_more)
    }

    pub(super) fn pagination(self, limit: usize, total: u64, has_more: bool) -> Pagination {
        Pagination { limit, offset: self.offset, total, has_more, next_cursor: None }
    }
}
