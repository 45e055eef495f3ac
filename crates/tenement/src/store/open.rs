//! Opening the database, whatever state it is in.
//!
//! ```text
//!   usable? ─► checked, untouched ─► schema ─► rows parsed ─► in use
//!      │no           │ damaged           │ newer    │ one can't be
//!      ▼             └─────────┐         ▼          │
//!   refused                    ▼      refused       │
//!          what can be read goes into a new one ◄───┘   the old one is set aside
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;
use tenement_core::layout;
use tenement_runtime::clock;

use super::{
    StoreError,
    db::{self, Db},
    records,
    salvage::{self, Salvaged, Taken},
    schema, tokens,
    valid::Valid,
};
use crate::{
    damage::{self, Look, Loss, Trouble},
    room,
    swap::{Swap, aside},
};

/// An open database.
pub(super) struct Opened {
    pub(super) db: Db,
    pub(super) valid: Valid,
    pub(super) loss: Option<Loss>,
}

/// Why it was not opened.
enum Fault {
    Damaged { how: String, with_wal: bool },
    Refused(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged(how) => Self::Damaged { how, with_wal: true },
            StoreError::Sql(error) | StoreError::Open { source: error, .. } => Trouble::from(error).into(),
            other => Self::Refused(other),
        }
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            // The file can be written, so that it is the file that says that it must not be.
            Trouble::Failed(error) if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) => {
                Self::Damaged { how: error.to_string(), with_wal: true }
            }
            Trouble::Damaged(how) => Self::Damaged { how, with_wal: true },
            Trouble::Failed(error) => Self::Refused(StoreError::Sql(error)),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Trouble::from(error).into()
    }
}

/// Opens it; what is damaged is set aside, and as much as can be read of it taken over.
pub(super) fn open(path: &Path) -> Result<Opened, StoreError> {
    damage::usable(path).map_err(|why| StoreError::Unusable { path: path.to_owned(), why })?;
    let refused = |error| match error {
        StoreError::Sql(source) if is_locked(&source) => StoreError::Locked { path: path.to_owned() },
        StoreError::Sql(source) => StoreError::Open { path: path.to_owned(), source },
        other => other,
    };
    match attempt(path) {
        Ok(opened) => Ok(opened),
        Err(Fault::Refused(error)) => Err(refused(error)),
        Err(Fault::Damaged { how, with_wal }) => {
            let loss = replace(path, &how, with_wal).map_err(refused)?;
            match attempt(path) {
                Ok(opened) => Ok(Opened { loss: Some(loss), ..opened }),
                Err(Fault::Refused(error)) => Err(refused(error)),
                Err(Fault::Damaged { how, .. }) => Err(StoreError::Damaged(how)),
            }
        }
    }
}

fn is_locked(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn attempt(path: &Path) -> Result<Opened, Fault> {
    let damaged = |how: &str, with_wal| Err(Fault::Damaged { how: how.to_owned(), with_wal });
    let (size, wal) = (size(path), size(&beside(path, "-wal")));
    let was_there = path.with_file_name(layout::SEAL).exists() || wal.is_some_and(|wal| wal > 0);
    let (mut loss, mut marked) = (None, false);
    match size {
        None | Some(0) if !was_there => {}
        None => return damaged("it is missing", false),
        Some(0) => return damaged("it is empty", false),
        Some(size) => {
            let connection = damage::open_untouched(path)?;
            damage::check(&connection, Look::Thorough)?;
            let page: u32 = connection.query_row("PRAGMA page_size", (), |row| row.get(0))?;
            // With a -wal, a kill may have left a part of a page, which is there as a whole.
            if size % u64::from(page.max(1)) > 0 && wal.is_none_or(|wal| wal == 0) {
                return damaged("a part of it is missing", true);
            }
            let [alone, with_wal] = [&salvage::open_alone(path)?, &connection].map(schema::Meta::read);
            match (alone, with_wal) {
                (Some(alone), Some(with_wal)) if alone.commits > with_wal.commits => {
                    return damaged("its -wal is from an older time", false);
                }
                (Some(alone), _) if alone.open && wal.is_none() => loss = Some(without_wal(path)),
                _ => {}
            }
            marked = alone.is_some_and(|alone| alone.open);
            schema::check(schema::version(&connection)?, path)?;
            records::check(&connection)?;
            tokens::load(&connection, &Valid::default())?;
        }
    }
    // If that finds damage only now, it does not spread it.
    let opened = db::connect(path)?;
    schema::migrate(&opened.connection, path)?;
    let valid = Valid::default();
    tokens::load(&opened.connection, &valid)?;
    if !marked {
        marked = match schema::Meta::set_open(&opened.connection, true) {
            // Before anything else is written.
            Err(error) if room::is_full(&error, path) => false,
            set => set.map(|()| true)?,
        };
    }
    Ok(Opened { db: Db::new(path, opened, marked), valid, loss })
}

fn without_wal(path: &Path) -> Loss {
    let what = format!(
        "the last changes may be missing: the daemon was killed, and the file '{}' is not there any more",
        beside(path, "-wal").display()
    );
    tracing::error!("{what}");
    Loss { at: clock::wall(), what, file: None }
}

/// Puts a new database in the place of a damaged one.
fn replace(path: &Path, how: &str, with_wal: bool) -> Result<Loss, StoreError> {
    let failed = |source| StoreError::Aside { path: path.to_owned(), how: how.to_owned(), source };
    let (folder, name) = (path.parent().unwrap_or(Path::new(".")), file_name(path));
    let swap = Swap::begin(folder).map_err(failed)?;
    let salvaged = salvage::salvage(path, with_wal, &swap.folder().join(&name))?;
    let at = clock::wall();
    let suffix = damage::corrupt(at);
    let is_there = path.exists();
    let [wal, shm] = ["-wal", "-shm"].map(|end| format!("{name}{end}"));
    swap.commit(&[&wal, &shm, &name], &suffix).map_err(failed)?;
    let kept = path.with_file_name(aside(&name, &suffix));
    let what = told(how, &salvaged, is_there.then_some(kept.as_path()));
    tracing::error!("{what}");
    Ok(Loss { at, what, file: is_there.then_some(kept) })
}

/// For people: what was lost, what not, and what to do.
fn told(how: &str, salvaged: &Salvaged, kept: Option<&Path>) -> String {
    let of = |taken: &Taken, what: &str| {
        let lost = match (taken.gaps, taken.refused) {
            (false, 0) => "all".to_owned(),
            (false, refused) => format!("{refused} lost"),
            (true, _) => "others may be lost".to_owned(),
        };
        format!("{} {what} taken over ({lost})", taken.rows)
    };
    let (instances, tokens) = (of(&salvaged.instances, "instances"), of(&salvaged.tokens, "tokens"));
    let kept = kept.map_or_else(String::new, |kept| format!("; what was there is in {}", kept.display()));
    let anew =
        if salvaged.tokens.rows == 0 { " A new API token is made, as at the first start." } else { "" };
    format!(
        "the state database was damaged ({how}): {instances}, {tokens}{kept}.{anew} Restore a backup (ten restore), or spawn \
         what is missing again"
    )
}

fn size(path: &Path) -> Option<u64> {
    Some(fs::metadata(path).ok()?.len())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn beside(path: &Path, end: &str) -> PathBuf {
    path.with_file_name(format!("{}{end}", file_name(path)))
}
