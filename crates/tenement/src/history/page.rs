//! Pages of what was found, and the conditions of a query.

use rusqlite::{Connection, Row, params_from_iter, types::Value};

use super::signed;

/// A page of what was found.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// In the order it happened.
    pub entries: Vec<T>,
    /// All that match.
    pub total: u64,
}

/// Conditions of a query, and their values in the same order.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    clauses: Vec<&'static str>,
    values: Vec<Value>,
}

/// Which rows, and which of them are on the page.
pub(super) struct Select {
    /// `SELECT` what is read, `FROM` where.
    pub(super) rows: &'static str,
    /// `SELECT COUNT(*)`, where the same number is found.
    pub(super) count: &'static str,
    pub(super) conditions: Conditions,
    /// The page begins at the oldest instead of the newest.
    pub(super) oldest: bool,
    pub(super) limit: usize,
    pub(super) offset: usize,
}

impl Conditions {
    pub(super) fn and(&mut self, clause: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.clauses.push(clause);
            self.values.push(value.into());
        }
    }

    fn text(&self) -> String {
        if self.clauses.is_empty() { String::new() } else { format!("WHERE {}", self.clauses.join(" AND ")) }
    }
}

impl Select {
    pub(super) fn find<T>(
        self,
        connection: &Connection,
        read: impl FnMut(&Row<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<Found<T>, rusqlite::Error> {
        let Self { rows, count, conditions, oldest, limit, offset } = self;
        let (filter, order) = (conditions.text(), if oldest { "ASC" } else { "DESC" });
        let total: i64 = connection
            .prepare_cached(&format!("{count} {filter}"))?
            .query_row(params_from_iter(&conditions.values), |row| row.get(0))?;
        let mut values = conditions.values;
        values.extend([limit, offset].map(|number| signed(number as u64).into()));
        let page = format!("{rows} {filter} ORDER BY seq {order} LIMIT ? OFFSET ?");
        let mut statement = connection.prepare_cached(&page)?;
        let rows = statement.query_map(params_from_iter(&values), read)?;
        let mut entries = rows.collect::<Result<Vec<_>, _>>()?;
        if !oldest {
            entries.reverse();
        }
        Ok(Found { entries, total: u64::try_from(total).unwrap_or(0) })
    }
}
