//! What is kept: so many entries, and who has most gives way first.
//!
//! One instance that is restarted all day, or one token that does so, pushes out its own past and not what others did.

use rusqlite::Transaction;

/// Entries after which it is looked whether there are too many.
pub(super) const EVERY: usize = 1000;

/// Entries that are kept of one kind.
struct Share {
    table: &'static str,
    /// Which entries of the table.
    of: &'static str,
    /// Columns that say whose an entry is.
    holder: &'static str,
    kept: i64,
}

/// Who may sign in may do this as often as they like, and is somebody else each time: it has a share of its own.
pub(super) const ROUTINE: &str = "('open_session', 'create_link', 'close_session')";

fn shares() -> [Share; 3] {
    [
        Share { table: "events", of: "", holder: "service, id", kept: 100_000 },
        Share { table: "changes", of: "WHERE action IN", holder: "actor", kept: 10_000 },
        Share { table: "changes", of: "WHERE action NOT IN", holder: "actor", kept: 100_000 },
    ]
}

/// Lets go what is too much.
pub(super) fn prune(transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    for share in shares() {
        share.prune(transaction)?;
    }
    let orphans = "DELETE FROM last_lines WHERE event NOT IN (SELECT seq FROM events)";
    transaction.execute(orphans, ()).map(drop)
}

impl Share {
    fn prune(&self, transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
        let Self { table, of, holder, kept } = self;
        let those = if of.is_empty() { (*table).to_owned() } else { format!("{table} {of} {ROUTINE}") };
        let count = format!("SELECT COUNT(*) FROM {those}");
        let count: i64 = transaction.prepare_cached(&count)?.query_row((), |row| row.get(0))?;
        if count <= *kept {
            return Ok(());
        }
        // The more newer ones its holder has, the sooner it goes; among equals the oldest.
        let too_many = format!(
            "DELETE FROM {table} WHERE seq IN (SELECT seq FROM (
                 SELECT seq, ROW_NUMBER() OVER (PARTITION BY {holder} ORDER BY seq DESC) AS place FROM {those}
             ) ORDER BY place DESC, seq LIMIT ?1)"
        );
        transaction.prepare_cached(&too_many)?.execute([count - kept]).map(drop)
    }
}
