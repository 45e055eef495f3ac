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

mod bell;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    io,
    sync::Arc,
};

use tenement_core::{name::InstanceName, time::WallMillis};
use tenement_runtime::clock;

pub use bell::Bell;
pub(crate) use bell::Bells;

use crate::{
    instance::Instance,
    line::{LogLine, Part, Stream},
    query::{self, Filter, LogQuery, QueryError},
    segment::{Block, Onward, is_stale},
    store::Shared,
};

/// The most lines of a [`Batch`].
const BATCH_LINES: usize = 256;
/// The most bytes of a [`Batch`], about, as JSON.
const BATCH_BYTES: usize = 64 * 1024;
/// The most bytes that are looked at for one.
const BATCH_READ: u64 = 8 << 20;
/// The most bytes of the lines from before.
const BACKLOG_BYTES: usize = 1 << 20;
/// A reader that has more lines of an instance before it than this is too slow for it.
const BEHIND: u64 = 65_536;
/// And goes on with its newest so many.
const RESUMED: u64 = 1000;
/// How often lines that move while they are read are looked for anew, before they are given up.
const ATTEMPTS: usize = 5;

/// Where a follower begins.
#[derive(Clone, Debug, Default)]
pub enum Begin {
    /// With the lines from now on.
    #[default]
    Now,
    /// With the newest so many lines.
    Newest(usize),
    /// After a line that was read before. Of other instances: with lines of about the same time, some of which
    /// may come a second time.
    After {
        /// Whose.
        instance: InstanceName,
        /// Which.
        seq: u64,
        /// When it was written.
        timestamp: WallMillis,
    },
    /// With these lines of these instances, however many follow them. A place after the last line is one of an
    /// instance that was erased and made anew: then with its first.
    From {
        /// The next line of each.
        places: BTreeMap<InstanceName, u64>,
        /// Of the others: with lines not before.
        since: Option<WallMillis>,
    },
}

/// What a follower hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// A line that was asked for.
    Line(LogLine),
    /// Lines that were passed over.
    Dropped {
        /// Whose.
        instance: InstanceName,
        /// How many, those that were not asked for included: nobody has read them.
        lines: u64,
        /// When that was seen.
        timestamp: WallMillis,
    },
}

/// Some lines, in the order of each instance.
#[derive(Debug, Default)]
pub struct Batch {
    /// Those lines.
    pub entries: Vec<Followed>,
    /// There are more, for which no bell will ring.
    pub more: bool,
    bytes: usize,
    read: u64,
}

impl Batch {
    fn push(&mut self, line: LogLine) {
        self.bytes += line.json_len();
        self.entries.push(Followed::Line(line));
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= BATCH_LINES || self.bytes >= BATCH_BYTES || self.read >= BATCH_READ
    }

    fn dropped(&mut self, instance: &Instance, lines: u64) {
        if lines > 0 {
            instance.pass_over(lines);
            let (instance, timestamp) = (instance.name.clone(), clock::wall());
            self.entries.push(Followed::Dropped { instance, lines, timestamp });
        }
    }
}

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
    /// Nothing that is still kept is passed over, however far behind it is.
    patient: bool,
}

/// Up to where an instance was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
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
        let mut follower = Self {
            shared,
            bell,
            query,
            filter,
            places: HashMap::new(),
            returning: HashSet::new(),
            backlog: VecDeque::new(),
            last: None,
            patient: false,
        };
        let instances = follower.instances();
        follower.places = instances.iter().map(|one| (one.number, one.next_seq())).collect();
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

    /// From now on nothing that is still kept is passed over, however far behind the reader is.
    #[must_use]
    pub fn patiently(mut self) -> Self {
        self.patient = true;
        self
    }

    /// Up to where each instance was read that is there and was met.
    #[must_use]
    pub fn places(&self) -> BTreeMap<InstanceName, Place> {
        let place = |one: &Arc<Instance>| {
            let next = *self.places.get(&one.number)?;
            Some((one.name.clone(), Place { number: one.number, next }))
        };
        self.instances().iter().filter_map(place).collect()
    }

    /// The next lines, perhaps none. Blocks on the disk.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn read(&mut self) -> Result<Batch, QueryError> {
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
            let place = self.places.entry(instance.number).or_insert(0);
            if *place >= instance.next_seq() {
                continue;
            }
            let behind = instance.next_seq().saturating_sub(*place);
            if behind <= BEHIND {
                self.returning.remove(&instance.number);
            }
            if !batch.is_full() {
                let waits = self.patient || self.returning.contains(&instance.number);
                let bound = if waits { u64::MAX } else { BEHIND };
                read_on(&instance, &self.filter, bound, place, &mut batch)?;
            }
            if batch.is_full() {
                self.last = Some(instance.name.clone());
                batch.more = true;
                return Ok(batch);
            }
        }
        batch.more = !self.backlog.is_empty();
        Ok(batch)
    }

    fn instances(&self) -> Vec<Arc<Instance>> {
        self.shared.matching(&self.query)
    }

    /// The lines from before, oldest first. What is at a place or after it is not among them.
    fn begin(&mut self, instances: &[Arc<Instance>], begin: &Begin) -> Result<Vec<LogLine>, QueryError> {
        let mut query = self.query.clone();
        query.offset = 0;
        query.max_bytes = BACKLOG_BYTES;
        let mut first = None;
        match begin {
            Begin::Now => return Ok(Vec::new()),
            Begin::Newest(lines) => query.limit = *lines,
            Begin::From { places, since } => {
                for one in instances {
                    let place = match places.get(&one.name) {
                        Some(&place) if place <= one.next_seq() => place,
                        Some(_) => 0,
                        None => first_since(one, *since)?,
                    };
                    self.places.insert(one.number, place);
                    self.returning.insert(one.number);
                }
                return Ok(Vec::new());
            }
            Begin::After { instance, seq, timestamp } => {
                const ABOUT: u64 = 1000;
                let about = WallMillis(timestamp.0.saturating_sub(ABOUT));
                query.since = query.since.max(Some(about));
                query.limit = RESUMED as usize;
                first = instances.iter().find(|one| one.name == *instance);
                if let Some(one) = first {
                    let place = self.places.entry(one.number).or_default();
                    *place = (*place).min(seq.saturating_add(1));
                }
            }
        }
        let before = |one: &Instance| {
            let whole = first.is_some_and(|first| first.number == one.number);
            // One that is read from its place on has no lines from before.
            if whole { 0 } else { self.places.get(&one.number).copied().unwrap_or(0) }
        };
        query::before(&query, instances, before)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.bells.take_down(&self.bell);
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("query", &self.query).finish_non_exhaustive()
    }
}

/// The first line of an instance that is not before; the next one where there is none.
fn first_since(instance: &Instance, since: Option<WallMillis>) -> io::Result<u64> {
    let Some(since) = since else { return Ok(0) };
    for _ in 0..ATTEMPTS {
        match find_since(instance, since) {
            Err(error) if is_stale(&error) => {}
            found => return found,
        }
    }
    Ok(0)
}

fn find_since(instance: &Instance, since: WallMillis) -> io::Result<u64> {
    let snapshot = instance.snapshot();
    let mut first = snapshot.next_seq;
    for segments in snapshot.segments {
        let mut onward = Onward::new(segments, 0)?;
        while let Some(block) = onward.peek().filter(|block| block.seq < first) {
            if block.wall >= since {
                first = block.seq;
            } else {
                onward.advance()?;
            }
        }
    }
    Ok(first)
}

/// Reads what an instance has from `place` on, and moves it. More than `bound` lines are passed over.
fn read_on(
    instance: &Instance,
    filter: &Filter,
    bound: u64,
    place: &mut u64,
    batch: &mut Batch,
) -> Result<(), QueryError> {
    let mut next_seq = *place;
    for _ in 0..ATTEMPTS {
        match read_once(instance, filter, bound, place, batch, &mut next_seq) {
            Err(error) if is_stale(&error) => {}
            read => return Ok(read?),
        }
    }
    let lines = next_seq.saturating_sub(*place);
    batch.dropped(instance, lines);
    *place = next_seq;
    Ok(())
}

fn read_once(
    instance: &Instance,
    filter: &Filter,
    bound: u64,
    place: &mut u64,
    batch: &mut Batch,
    next_seq: &mut u64,
) -> io::Result<()> {
    let snapshot = instance.snapshot();
    *next_seq = snapshot.next_seq;
    let pass_to = |place: &mut u64, seq: u64, batch: &mut Batch| {
        batch.dropped(instance, seq.saturating_sub(*place));
        *place = seq.max(*place);
    };
    if snapshot.next_seq.saturating_sub(*place) > bound {
        pass_to(place, snapshot.next_seq - RESUMED, batch);
    }
    let [out, err] = snapshot.segments;
    let mut streams = [Onward::new(out, *place)?, Onward::new(err, *place)?];
    loop {
        let first = |index: &usize| streams[*index].peek().map_or(u64::MAX, |block| block.seq);
        let index = if first(&1) < first(&0) { 1 } else { 0 };
        let Some(&block) = streams[index].peek() else {
            // Nothing is left of what came before, and what comes next is not there yet.
            pass_to(place, snapshot.next_seq, batch);
            return Ok(());
        };
        pass_to(place, block.seq, batch);
        if read_some(instance, (Stream::ALL[index], &mut streams[index], &block), filter, place, batch)? {
            return Ok(());
        }
    }
}

/// Reads some lines of a block of a stream. Whether there is no more room.
fn read_some(
    instance: &Instance,
    (stream, onward, block): (Stream, &mut Onward, &Block),
    filter: &Filter,
    place: &mut u64,
    batch: &mut Batch,
) -> io::Result<bool> {
    let end = block.seq + block.lines;
    if !filter.wants(stream) || !filter.may_hold(block) {
        *place = end;
        return onward.advance().map(|()| false);
    }
    if batch.is_full() {
        return Ok(true);
    }
    let Some(text) = onward.read()? else {
        batch.dropped(instance, end.saturating_sub(*place));
        *place = end;
        return onward.advance().map(|()| false);
    };
    let end = block.seq + text.len() as u64;
    batch.read += text.bytes().len() as u64;
    if filter.may_match(&text) {
        let from = usize::try_from(place.saturating_sub(block.seq)).unwrap_or(usize::MAX);
        for index in from..text.len() {
            let line = text.line(index);
            debug_assert!(line.part != Part::Open, "a mark describes lines that have ended");
            *place = line.seq + 1;
            if filter.passes(stream, &line) {
                batch.push(line.of(&instance.name, stream, text.wall));
                if batch.is_full() {
                    return Ok(true);
                }
            }
        }
    }
    *place = end.max(*place);
    Ok(false)
}
