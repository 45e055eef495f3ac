//! Takes what can still be read of a damaged state database into a new one.
//!
//! ```text
//!   damaged file, as it lies there ─► each table from both ends, then what lies between ─► rows that still mean something
//! ```

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection, OpenFlags, params_from_iter, types::Value};

use super::{StoreError, records, schema, tokens};
use crate::damage;

/// What was found of a table.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) rows: usize,
    /// Rows that could be read and mean nothing.
    pub(super) refused: usize,
    /// Something could not be read; nobody knows how many rows that were.
    pub(super) gaps: bool,
}

/// What was found of all.
#[derive(Debug, Default)]
pub(super) struct Salvaged {
    pub(super) instances: Taken,
    pub(super) tokens: Taken,
}

/// Rows between two that can be read that are looked for one by one.
const LOOKED_FOR: i64 = 10_000;

/// Fills a new database at `into`. `with_wal`: whether what is in the `-wal` of the old one is of it.
pub(super) fn salvage(old: &Path, with_wal: bool, into: &Path) -> Result<Salvaged, StoreError> {
    let new = Connection::open(into)?;
    new.pragma_update(None, "synchronous", "FULL")?;
    schema::migrate(&new, into)?;
    let mut salvaged = Salvaged::default();
    let (instances, tokens) = (&mut salvaged.instances, &mut salvaged.tokens);
    (instances.gaps, tokens.gaps) = (true, true);
    if let Ok(old) = open(old, with_wal) {
        *instances = copy(&old, &new, "instances")?;
        *tokens = copy(&old, &new, "tokens")?;
        for other in ["leaving", "answers", "losses", "made"] {
            copy(&old, &new, other)?;
        }
    }
    keep_meaningful(&new, "instances", instances, |row| records::record(row).map(drop))?;
    keep_meaningful(&new, "tokens", tokens, tokens::check)?;
    keep_meaningful(&new, "leaving", &mut Taken::default(), |row| records::leaving(row).map(drop))?;
    new.close().map_err(|(_, error)| error)?;
    Ok(salvaged)
}

fn open(path: &Path, with_wal: bool) -> Result<Connection, rusqlite::Error> {
    if with_wal { damage::open_untouched(path) } else { open_alone(path) }
}

/// The file alone, without its `-wal`.
pub(super) fn open_alone(path: &Path) -> Result<Connection, rusqlite::Error> {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02x}"),
    };
    let escaped: String =
        std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).iter().copied().map(escape).collect();
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)
}

type Rows = BTreeMap<i64, Vec<Value>>;

/// Reads until something can't be read. Whether everything could.
fn read(old: &Connection, sql: &str, of: &[i64], rows: &mut Rows) -> bool {
    let mut read = || -> Result<(), rusqlite::Error> {
        let mut statement = old.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut found = statement.query(params_from_iter(of))?;
        while let Some(row) = found.next()? {
            let values = (1..columns).map(|column| row.get(column)).collect::<Result<_, _>>()?;
            rows.insert(row.get(0)?, values);
        }
        Ok(())
    };
    read().is_ok()
}

fn copy(old: &Connection, new: &Connection, table: &str) -> Result<Taken, StoreError> {
    let names = |connection: &Connection| -> Result<Vec<String>, rusqlite::Error> {
        // The names a statement has may be no text.
        let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
        statement.query_map([table], |row| row.get(0))?.collect()
    };
    let known = names(new)?;
    // One of an older schema has fewer.
    let mut columns = names(old).unwrap_or_default();
    columns.retain(|column| known.contains(column));
    if columns.is_empty() {
        return Ok(Taken { gaps: true, ..Taken::default() });
    }
    let list = columns.join(", ");
    let (mut first, mut last) = (Rows::new(), Rows::new());
    let select = format!("SELECT rowid, {list} FROM {table} NOT INDEXED");
    let whole = read(old, &format!("{select} ORDER BY rowid"), &[], &mut first);
    if !whole {
        read(old, &format!("{select} ORDER BY rowid DESC"), &[], &mut last);
        if let (Some((&from, _)), Some((&to, _))) = (first.last_key_value(), last.first_key_value()) {
            let one = format!("{select} WHERE rowid = ?1");
            for rowid in (from..to).skip(1).take(LOOKED_FOR as usize) {
                read(old, &one, &[rowid], &mut first);
            }
        }
    }
    first.append(&mut last);
    let places = vec!["?"; columns.len()].join(", ");
    let mut insert = new.prepare(&format!("INSERT OR IGNORE INTO {table} ({list}) VALUES ({places})"))?;
    let mut taken = Taken { gaps: !whole, ..Taken::default() };
    for values in first.values() {
        // What is of another type than it should be is refused.
        match insert.execute(params_from_iter(values)) {
            Ok(1..) => taken.rows += 1,
            _ => taken.refused += 1,
        }
    }
    Ok(taken)
}

/// Lets go of rows that say what can't be.
fn keep_meaningful(
    new: &Connection,
    table: &str,
    taken: &mut Taken,
    check: impl Fn(&rusqlite::Row<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut bad = Vec::new();
    let mut statement = new.prepare(&format!("SELECT rowid, * FROM {table}"))?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        if check(row).is_err() {
            bad.push(row.get::<_, i64>(0)?);
        }
    }
    for rowid in bad {
        new.execute(&format!("DELETE FROM {table} WHERE rowid = ?1"), [rowid])?;
        taken.rows = taken.rows.saturating_sub(1);
        taken.refused += 1;
    }
    Ok(())
}
