//! Rows by name, for readers who each know how far they were told.
//!
//! ```text
//!   put, edit, remove ─► the row has a new version ─► changes: one for each row, by version
//!                                                        │ those after what a reader was told
//!   Reader: a snapshot, page by page ─► told up to here ─┴─► rows as they are now, names that are gone ─► told up to there
//! ```
//!
//! A row that changed many times is told once, as it is when the reader comes: nothing piles up for one who is slow. Names
//! that are gone are remembered only while somebody was not told of them, and only so many: who missed more than that is
//! told everything anew.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound::{Excluded, Unbounded},
};

use tenement_core::name::InstanceName;

use super::part::Part;

/// Rows of one turn.
pub(super) const PAGE: usize = 500;
/// Names that are gone and remembered.
const GONE: usize = 2000;

/// The rows.
#[derive(Debug)]
pub(super) struct Board<R> {
    rows: BTreeMap<InstanceName, Versioned<R>>,
    /// The last change of each row, and of those that are gone and not forgotten.
    changes: BTreeMap<u64, InstanceName>,
    /// Names that are gone, with the change that took them.
    gone: BTreeMap<InstanceName, u64>,
    /// Those changes.
    graves: BTreeSet<u64>,
    /// Changes there were.
    version: u64,
    /// What went up to this change may be forgotten.
    forgotten: u64,
    readers: HashMap<ReaderId, Place>,
    numbered: u64,
}

#[derive(Debug)]
struct Versioned<R> {
    version: u64,
    row: R,
}

/// Names a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ReaderId(u64);

/// How far a reader was told.
#[derive(Clone, Debug)]
enum Place {
    /// Is being told everything: the last row that was; changes after `since` come then.
    Snapshot { since: u64, after: Option<InstanceName> },
    /// Was told everything up to a change.
    Told(u64),
}

/// What a reader is to be told next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn<'b, R> {
    /// A page of all rows. What was told before counts no more when it is the first one.
    Snapshot {
        /// By name.
        rows: Vec<(&'b InstanceName, &'b R)>,
        /// There is another page.
        more: bool,
    },
    /// What changed.
    Changes {
        /// In the order of their last changes.
        rows: Vec<(&'b InstanceName, &'b R)>,
        /// Not there any more.
        gone: Vec<&'b InstanceName>,
    },
}

impl<R> Default for Board<R> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            changes: BTreeMap::new(),
            gone: BTreeMap::new(),
            graves: BTreeSet::new(),
            version: 0,
            forgotten: 0,
            readers: HashMap::new(),
            numbered: 0,
        }
    }
}

impl<R> Board<R> {
    /// A row that is new, or another one.
    pub(super) fn put(&mut self, name: InstanceName, row: R) {
        let version = self.change(&name);
        self.rows.insert(name, Versioned { version, row });
    }

    /// Takes a row away.
    pub(super) fn remove(&mut self, name: &InstanceName) {
        if !self.rows.contains_key(name) {
            return;
        }
        let version = self.change(name);
        self.rows.remove(name);
        self.gone.insert(name.clone(), version);
        self.graves.insert(version);
        self.forget();
    }

    /// Changes up to [`PAGE`] rows in place, those after a name; `edit` says whether a reader would see a difference. The
    /// last name it came to; `None` when there are no more.
    pub(super) fn edit(
        &mut self,
        after: Option<&InstanceName>,
        mut edit: impl FnMut(&InstanceName, &mut R) -> bool,
    ) -> Option<InstanceName> {
        let mut last = None;
        let mut seen = 0;
        let from = after.map_or(Unbounded, Excluded);
        for (name, versioned) in self.rows.range_mut((from, Unbounded)).take(PAGE) {
            seen += 1;
            if edit(name, &mut versioned.row) {
                self.version += 1;
                self.changes.remove(&versioned.version);
                self.changes.insert(self.version, name.clone());
                versioned.version = self.version;
            }
            last = Some(name);
        }
        if seen == PAGE { last.cloned() } else { None }
    }

    /// A row.
    pub(super) fn get(&self, name: &InstanceName) -> Option<&R> {
        self.rows.get(name).map(|versioned| &versioned.row)
    }

    /// The rows of a part, by name.
    pub(super) fn rows(&self, part: &Part) -> impl Iterator<Item = (&InstanceName, &R)> {
        part.range(&self.rows, None).map(|(name, versioned)| (name, &versioned.row))
    }

    /// Somebody who was told nothing yet.
    pub(super) fn join(&mut self) -> ReaderId {
        self.numbered += 1;
        let reader = ReaderId(self.numbered);
        self.readers.insert(reader, Place::Snapshot { since: self.version, after: None });
        reader
    }

    /// Somebody reads no more.
    pub(super) fn leave(&mut self, reader: ReaderId) {
        self.readers.remove(&reader);
        self.forget();
    }

    /// What a reader was not told yet, of its part: about [`PAGE`] at most. It counts as told. `None`: nothing.
    pub(super) fn turn(&mut self, reader: ReaderId, part: &Part) -> Option<Turn<'_, R>> {
        self.forget();
        let place = match self.readers.get(&reader)? {
            // Everything is what there is when it begins to be told, not when its reader came.
            Place::Snapshot { after: None, .. } => Place::Snapshot { since: self.version, after: None },
            Place::Told(version) if *version < self.forgotten => {
                Place::Snapshot { since: self.version, after: None }
            }
            place => place.clone(),
        };
        match place {
            Place::Snapshot { since, after } => {
                let seen = part.range(&self.rows, after.as_ref());
                let mut rows: Vec<_> =
                    seen.take(PAGE + 1).map(|(name, versioned)| (name, &versioned.row)).collect();
                let more = rows.len() > PAGE;
                rows.truncate(PAGE);
                let last = rows.last().filter(|_| more).map(|(name, _)| (*name).clone());
                let next =
                    last.map_or(Place::Told(since), |last| Place::Snapshot { since, after: Some(last) });
                self.readers.insert(reader, next);
                Some(Turn::Snapshot { rows, more })
            }
            Place::Told(version) => {
                let (mut rows, mut gone) = (Vec::new(), Vec::new());
                let mut up_to = self.version;
                let news = if part.is_all() {
                    let news = self.changes.range(version + 1..).take(2 * PAGE);
                    news.map(|(&version, name)| (version, name)).collect()
                } else {
                    news_of(part, version, &self.rows, &self.gone)
                };
                for (version, name) in news {
                    match self.rows.get(name) {
                        Some(versioned) => rows.push((name, &versioned.row)),
                        None => gone.push(name),
                    }
                    if rows.len() == PAGE || gone.len() == PAGE {
                        up_to = version;
                        break;
                    }
                }
                self.readers.insert(reader, Place::Told(up_to));
                (!rows.is_empty() || !gone.is_empty()).then_some(Turn::Changes { rows, gone })
            }
        }
    }

    /// The number of a change of a row, which takes the place of its last one.
    fn change(&mut self, name: &InstanceName) -> u64 {
        let before = match self.rows.get(name) {
            Some(versioned) => Some(versioned.version),
            None => self.gone.remove(name),
        };
        if let Some(before) = before {
            self.graves.remove(&before);
            self.changes.remove(&before);
        }
        self.version += 1;
        self.changes.insert(self.version, name.clone());
        self.version
    }

    /// Forgets names that are gone and that everybody was told of, or that are too many.
    fn forget(&mut self) {
        // As nearly always: then there is no need to ask how far everybody is.
        if self.graves.is_empty() {
            return;
        }
        let told = self.readers.values().map(|place| match place {
            Place::Snapshot { since, .. } => *since,
            Place::Told(version) => *version,
        });
        let told = told.min().unwrap_or(self.version);
        while let Some(&version) = self.graves.first()
            && (version <= told || self.graves.len() > GONE)
        {
            self.graves.remove(&version);
            if let Some(name) = self.changes.remove(&version) {
                self.gone.remove(&name);
            }
            self.forgotten = version;
        }
    }
}

/// The changes of a part after one, in their order: everybody else's are not looked at.
fn news_of<'b, R>(
    part: &Part,
    told: u64,
    rows: &'b BTreeMap<InstanceName, Versioned<R>>,
    gone: &'b BTreeMap<InstanceName, u64>,
) -> Vec<(u64, &'b InstanceName)> {
    let rows = part.range(rows, None).map(|(name, versioned)| (versioned.version, name));
    let gone = part.range(gone, None).map(|(name, &version)| (version, name));
    let mut news: Vec<_> = rows.chain(gone).filter(|&(version, _)| version > told).collect();
    news.sort_unstable();
    news
}

#[cfg(test)]
mod tests;
