//! What is kept: so many entries. The newest few of each holder go after all others, and else the oldest first.
//!
//! So an instance that is restarted all day, or a token that does so, does not push out the last of what others did, and
//! many that are long gone push out nothing of those that live. Who came by a link is one holder with all others that the
//! same token let in: else each of them would be one, and there is no end of them.

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
    /// So many of the newest of each holder go last.
    last: i64,
    kept: i64,
}

/// Who may sign in may do this as often as they like: it has a share of its own.
pub(super) const ROUTINE: &str = "('open_session', 'create_link', 'close_session')";

const BY: &str = "COALESCE(root, actor)";

fn shares() -> [Share; 3] {
    [
        Share { table: "events", of: "", holder: "service, id", last: 200, kept: 100_000 },
        Share { table: "changes", of: "WHERE action IN", holder: BY, last: 100, kept: 10_000 },
        Share { table: "changes", of: "WHERE action NOT IN", holder: BY, last: 1000, kept: 100_000 },
    ]
}

/// Ends whose last lines are kept.
const LINES: Share = Share { table: "last_lines", of: "", holder: "of_service, of_id", last: 3, kept: 1000 };

/// Lets go what is too much.
pub(super) fn prune(transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    for share in shares() {
        share.prune(transaction)?;
    }
    let orphans = "DELETE FROM last_lines WHERE event NOT IN (SELECT seq FROM events)";
    transaction.execute(orphans, ()).map(drop)
}

/// Lets go of last lines what is too much: they are large, so that is looked for whenever some are added.
pub(super) fn prune_lines(transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    LINES.prune(transaction)
}

impl Share {
    fn prune(&self, transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
        let Self { table, of, holder, last, kept } = self;
        let those = if of.is_empty() { (*table).to_owned() } else { format!("{table} {of} {ROUTINE}") };
        let count = format!("SELECT COUNT(*) FROM {those}");
        let count: i64 = transaction.prepare_cached(&count)?.query_row((), |row| row.get(0))?;
        if count <= *kept {
            return Ok(());
        }
        let too_many = format!(
            "DELETE FROM {table} WHERE rowid IN (SELECT entry FROM (
                 SELECT rowid AS entry, ROW_NUMBER() OVER (PARTITION BY {holder} ORDER BY rowid DESC) AS place
                 FROM {those}
             ) ORDER BY place <= ?2, entry LIMIT ?1)"
        );
        transaction.prepare_cached(&too_many)?.execute((count - kept, last)).map(drop)
    }
}
