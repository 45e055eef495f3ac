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
    /// A page, and how many match in all.
    pub(super) fn find<T>(
        self,
        connection: &Connection,
        read: impl FnMut(&Row<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<Found<T>, rusqlite::Error> {
        let total: i64 = connection
            .prepare_cached(&format!("{} {}", self.count, self.conditions.text()))?
            .query_row(params_from_iter(&self.conditions.values), |row| row.get(0))?;
        Ok(Found { entries: self.page(connection, read)?, total: u64::try_from(total).unwrap_or(0) })
    }

    /// A page alone: to count what matches may take much longer.
    pub(super) fn page<T>(
        self,
        connection: &Connection,
        read: impl FnMut(&Row<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<Vec<T>, rusqlite::Error> {
        let mut statement = connection.prepare_cached(&self.statement())?;
        let mut values = self.conditions.values;
        values.extend([self.limit, self.offset].map(|number| signed(number as u64).into()));
        let rows = statement.query_map(params_from_iter(&values), read)?;
        let mut entries = rows.collect::<Result<Vec<_>, _>>()?;
        if !self.oldest {
            entries.reverse();
        }
        Ok(entries)
    }

    pub(super) fn statement(&self) -> String {
        let (filter, order) = (self.conditions.text(), if self.oldest { "ASC" } else { "DESC" });
        format!("{} {filter} ORDER BY seq {order} LIMIT ? OFFSET ?", self.rows)
    }
}
