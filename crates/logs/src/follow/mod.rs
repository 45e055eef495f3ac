//! Lines as they come, for who asks for them.
//!
//! ```text
//!   ingest ── marks are made ──► bell (rings or rings already)
//!                                  │
//!   reader ◄── Batch ◄── read: from the place in each instance onwards, so many lines and no more
//!                          └── too far behind, or gone meanwhile: passed over, and counted
//! ```
//!
//! Lines wait on the disk, nowhere else. So a follower needs the same memory however much is written, and who
//! writes never waits for it.

mod batch;
mod begin;
mod bell;
mod bookmark;
mod read;
mod recent;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use tenement_core::{name::InstanceName, time::WallMillis};
use tenement_runtime::clock;

pub use batch::{Batch, Followed};
pub use begin::Begin;
pub use bell::Bell;
pub(crate) use bell::Bells;
pub use bookmark::{Bookmark, Place};
pub(crate) use recent::Recent;
pub use recent::SharedLine;

use crate::{
    instance::Instance,
    line::LogLine,
    query::{self, Filter, LogQuery, QueryError},
    store::Shared,
};
use begin::{find_place, first_since};

/// The most bytes of the lines from before.
const BACKLOG_BYTES: usize = 1 << 20;
/// A reader that has more lines of an instance before it than this is too slow for it.
const BEHIND: u64 = 65_536;
/// And goes on with its newest so many.
const RESUMED: u64 = 1000;
/// How often lines that move while they are read are looked for anew, before they are given up.
const ATTEMPTS: usize = 5;

/// Reads lines as they come: wait for its bell, read until there are no more, wait again.
pub struct Follower {
    shared: Arc<Shared>,
    bell: Arc<Bell>,
    query: LogQuery,
    filter: Filter,
    /// The next line of every instance, by [`Instance::number`].
    places: HashMap<u64, u64>,
    /// Whose reader was away and has not caught up yet: it may be as far behind as it is.
    returning: HashSet<u64>,
    /// Lines from before.
    backlog: VecDeque<LogLine>,
    /// Whose lines came last when there was no more room.
    last: Option<InstanceName>,
    /// Where it began.
    bookmark: Bookmark,
    /// Nothing that is still kept is passed over, however far behind it is.
    patient: bool,
}

/// Up to where an instance was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadTo {
    /// Tells it from another instance of the same name, before or after it.
    pub number: u64,
    /// The next line.
    pub next: u64,
}

impl Follower {
    pub(crate) fn new(shared: Arc<Shared>, query: LogQuery, begin: &Begin) -> Result<Self, QueryError> {
        let filter = Filter::new(&query)?;
        let bell = Arc::new(Bell::default());
        // From here on nothing goes unnoticed.
        shared.bells.hang(&bell, &query);
        let now = clock::wall();
        let mut follower = Self {
            shared,
            bell,
            query,
            filter,
            places: HashMap::new(),
            returning: HashSet::new(),
            backlog: VecDeque::new(),
            last: None,
            bookmark: Bookmark::new(now),
            patient: false,
        };
        let instances = follower.instances();
        for one in &instances {
            let (next, ambiguous) = one.begins(now);
            follower.places.insert(one.number, next);
            if ambiguous {
                follower.bookmark.set(&one.name, next.into());
            }
        }
        follower.backlog = follower.begin(&instances, begin)?.into();
        follower.bell.ring();
        Ok(follower)
    }

    /// Rings when there may be lines. It has rung when the follower is new.
    #[must_use]
    pub fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// Asks for other lines from now on. What was written before and asked for before stays to be read where
    /// it is still asked for.
    ///
    /// # Errors
    /// An invalid regular expression; then nothing changes.
    pub fn ask(&mut self, query: LogQuery) -> Result<(), QueryError> {
        self.filter = Filter::new(&query)?;
        self.shared.bells.hang(&self.bell, &query);
        self.query = query;
        for instance in self.instances() {
            self.places.entry(instance.number).or_insert_with(|| instance.next_seq());
        }
        self.bell.ring();
        Ok(())
    }

    /// Where it is before the first line it hands out; a reader that moves it with each can come again with it
    /// ([`Begin::At`]).
    #[must_use]
    pub fn bookmark(&self) -> Bookmark {
        self.bookmark.clone()
    }

    /// From now on nothing that is still kept is passed over, however far behind the reader is.
    #[must_use]
    pub fn patiently(mut self) -> Self {
        self.patient = true;
        self
    }

    /// Up to where each instance was read that is there and was met.
    #[must_use]
    pub fn places(&self) -> BTreeMap<InstanceName, ReadTo> {
        let place = |one: &Arc<Instance>| {
            let next = *self.places.get(&one.number)?;
            Some((one.name.clone(), ReadTo { number: one.number, next }))
        };
        self.instances().iter().filter_map(place).collect()
    }

    /// The next lines, perhaps none. Blocks on the disk.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn read(&mut self) -> Result<Batch, QueryError> {
        self.read_shared().map(Batch::into_own)
    }

    /// The same, with lines that followers of the same instance share.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn read_shared(&mut self) -> Result<Batch<SharedLine>, QueryError> {
        let mut batch = Batch::default();
        while !batch.is_full()
            && let Some(line) = self.backlog.pop_front()
        {
            batch.push(line);
        }
        let mut instances = self.instances();
        if self.places.len() > instances.len() {
            self.places.retain(|number, _| instances.iter().any(|instance| instance.number == *number));
        }
        // Who was last before others had their turn is not first again.
        let after = self.last.take().map_or(0, |last| instances.partition_point(|one| one.name <= last));
        instances.rotate_left(after);
        for instance in instances {
            self.read_of(&instance, &mut batch)?;
            if batch.is_full() {
                self.last = Some(instance.name.clone());
                batch.more = true;
                return Ok(batch);
            }
        }
        batch.more |= !self.backlog.is_empty();
        Ok(batch)
    }

    fn read_of(&mut self, instance: &Instance, batch: &mut Batch<SharedLine>) -> Result<(), QueryError> {
        let place = self.places.entry(instance.number).or_insert(0);
        let behind = instance.next_seq().saturating_sub(*place);
        if behind == 0 {
            return Ok(());
        }
        if behind <= BEHIND {
            self.returning.remove(&instance.number);
        }
        if batch.is_full() {
            return Ok(());
        }
        let several = self.shared.bells.followers(&instance.name) > 1;
        if !several || !read::read_near(instance, &self.filter, place, batch)? {
            let waits = self.patient || self.returning.contains(&instance.number);
            let bound = if waits { u64::MAX } else { BEHIND };
            read::read_on(instance, &self.filter, bound, place, batch)?;
        }
        batch.more |= *place < instance.next_seq();
        Ok(())
    }

    /// The next lines, perhaps none, if others have read them already: waits for nothing. `None` when that is not so.
    pub fn look(&mut self) -> Option<Batch<SharedLine>> {
        let (_, Some(_)) = self.query.narrowest() else { return None };
        let instances = self.instances();
        let ([instance], true) = (&instances[..], self.backlog.is_empty()) else { return None };
        let (place, mut batch) = (self.places.get_mut(&instance.number)?, Batch::default());
        if *place < instance.next_seq() && !read::look(instance, &self.filter, place, &mut batch) {
            return None;
        }
        batch.more = *place < instance.next_seq();
        Some(batch)
    }

    fn instances(&self) -> Vec<Arc<Instance>> {
        self.shared.matching(&self.query)
    }

    /// The lines from before, oldest first. What is at a place or after it is not among them.
    fn begin(&mut self, instances: &[Arc<Instance>], begin: &Begin) -> Result<Vec<LogLine>, QueryError> {
        let mut query = self.query.clone();
        query.offset = 0;
        query.max_bytes = BACKLOG_BYTES;
        match begin {
            Begin::Now => return Ok(Vec::new()),
            Begin::Newest(lines) => query.limit = *lines,
            Begin::From { places, since } => {
                let place = |one: &Instance| places.get(&one.name).map(|&seq| seq.into());
                return self.resume(instances, place, *since);
            }
            Begin::At { places, since } => {
                return self.resume(instances, |one| places.get(&one.name).copied(), *since);
            }
        }
        let lines =
            query::before(&query, instances, |one| self.places.get(&one.number).copied().unwrap_or(0))?;
        if let Some(oldest) = lines.iter().map(|line| line.timestamp).min() {
            self.bookmark.catch_up(oldest);
        }
        for line in lines.iter().rev() {
            self.bookmark.set(&line.instance, line.seq.into());
        }
        Ok(lines)
    }

    /// Goes on where a reader was.
    fn resume(
        &mut self,
        instances: &[Arc<Instance>],
        place: impl Fn(&Instance) -> Option<Place>,
        since: Option<WallMillis>,
    ) -> Result<Vec<LogLine>, QueryError> {
        self.bookmark = Bookmark::new(since.unwrap_or_default());
        for one in instances {
            let seq = match place(one) {
                Some(place) => {
                    let seq = find_place(one, place)?;
                    let after = place.after.filter(|_| seq == place.seq);
                    self.bookmark.set(&one.name, Place { seq, after });
                    seq
                }
                None => first_since(one, since)?,
            };
            self.places.insert(one.number, seq);
            self.returning.insert(one.number);
        }
        Ok(Vec::new())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.bells.take_down(&self.bell);
        for one in self.instances() {
            // One alone shares nothing.
            if self.shared.bells.followers(&one.name) < 2 {
                one.recent().clear();
            }
        }
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("query", &self.query).finish_non_exhaustive()
    }
}
