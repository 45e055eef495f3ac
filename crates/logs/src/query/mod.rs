//! Questions to the log, answered by reading backwards.

mod context;
mod export;
mod field;
mod filter;
mod histogram;
mod literals;
mod merge;
mod page_end;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use tenement_core::{
    name::{InstanceName, ServiceName},
    time::WallMillis,
};

use crate::{
    instance::Instance,
    level::LevelSet,
    line::{LogLine, Stream},
    segment::is_stale,
};
pub(crate) use context::around;
pub use context::{Context, Near, Surrounded};
pub use export::Export;
pub use field::{Field, FieldError};
pub(crate) use filter::Filter;
pub(crate) use histogram::histogram;
pub use histogram::{Bucket, Grain, Histogram};
use merge::InstanceTail;
use page_end::Resume;
pub use page_end::{PageEnd, PageEndError};

/// Instances somebody may see: those of a service, or one, or all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Of this service only.
    pub service: Option<ServiceName>,
    /// This one only.
    pub instance: Option<InstanceName>,
}

impl Bounds {
    fn cover(&self, name: &InstanceName) -> bool {
        self.service.as_ref().is_none_or(|service| *service == name.service)
            && self.instance.as_ref().is_none_or(|instance| instance == name)
    }
}

/// Which lines, and which page of them.
#[derive(Clone, Debug)]
pub struct LogQuery {
    /// Of this service only.
    pub service: Option<ServiceName>,
    /// Of this instance only.
    pub instance: Option<InstanceName>,
    /// Of these instances only, if there are any.
    pub instances: BTreeSet<InstanceName>,
    /// Of this stream only.
    pub stream: Option<Stream>,
    /// Of these levels only (`level=` as a set, `min_level=` as [`LevelSet::at_least`], both with
    /// [`LevelSet::and`]).
    pub levels: LevelSet,
    /// Matching this regular expression, in the syntax of the `regex` crate, somewhere in the line.
    pub grep: Option<String>,
    /// Holding this text as it is.
    pub search: Option<String>,
    /// Holding all of these texts, in upper or lower case.
    pub terms: Vec<String>,
    /// Meeting all of these conditions.
    pub fields: Vec<Field>,
    /// Not before.
    pub since: Option<WallMillis>,
    /// Not after.
    pub until: Option<WallMillis>,
    /// Of these instances only what is before these places among their lines.
    pub before: BTreeMap<InstanceName, u64>,
    /// Goes on where a page ended.
    pub cursor: Option<PageEnd>,
    /// Whatever else is asked for, of these only: what the asker may see.
    pub bounds: Bounds,
    /// At most so many.
    pub limit: usize,
    /// Skips so many of the newest.
    pub offset: usize,
    /// Whether all that match are counted, which may take longer by far than to find a page of them.
    pub count: bool,
    /// No more lines than fit into so many bytes of JSON, but one at least.
    pub max_bytes: usize,
    /// When it is given up.
    pub deadline: Option<Instant>,
    /// Set when nobody waits for the answer any more: it is given up then.
    pub abandoned: Option<Arc<AtomicBool>>,
}

impl Default for LogQuery {
    /// The newest 50 lines of everything.
    fn default() -> Self {
        Self {
            service: None,
            instance: None,
            instances: BTreeSet::new(),
            stream: None,
            levels: LevelSet::ALL,
            grep: None,
            search: None,
            terms: Vec::new(),
            fields: Vec::new(),
            since: None,
            until: None,
            before: BTreeMap::new(),
            cursor: None,
            bounds: Bounds::default(),
            limit: 50,
            offset: 0,
            count: true,
            max_bytes: usize::MAX,
            deadline: None,
            abandoned: None,
        }
    }
}

impl LogQuery {
    /// Whether lines of this instance are asked for.
    pub(crate) fn covers(&self, name: &InstanceName) -> bool {
        self.service.as_ref().is_none_or(|service| *service == name.service)
            && self.instance.as_ref().is_none_or(|instance| instance == name)
            && (self.instances.is_empty() || self.instances.contains(name))
            && self.bounds.cover(name)
    }

    /// The only service and the only instance whose lines can be an answer.
    pub(crate) fn narrowest(&self) -> (Option<&ServiceName>, Option<&InstanceName>) {
        (
            self.service.as_ref().or(self.bounds.service.as_ref()),
            self.instance.as_ref().or(self.bounds.instance.as_ref()),
        )
    }
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    /// In the order they were written.
    pub lines: Vec<LogLine>,
    /// All that match, before `limit` and `offset`; where they were not to be counted, those up to the end of the page,
    /// and one more if there is one.
    pub total: u64,
    /// There are older ones.
    pub has_more: bool,
    /// Where those begin.
    pub next: PageEnd,
    /// Parts of the log that were looked at and can't be read; lines of them are missing.
    pub damaged: u64,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// `grep` is not a regular expression, or too large a one.
    #[error("grep: {0}")]
    Grep(#[from] regex::Error),
    /// It took too long.
    #[error(
        "There was no answer in the time a query may take: name instances, or a shorter time with 'since' and 'until', \
         or look for something rarer"
    )]
    Late,
    /// There would be more buckets than this.
    #[error("'interval' makes more than {0} buckets: take a longer one, or name 'since'")]
    Buckets(usize),
    /// Some of the log can't be read; all else was handed out.
    #[error("the log is damaged: {0} parts of it can't be read, and lines are missing")]
    Damaged(u64),
    /// The segments could not be read.
    #[error("reading the log: {0}")]
    Io(io::Error),
}

impl From<io::Error> for QueryError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Late,
            _ => Self::Io(error),
        }
    }
}

/// How often a query starts anew when lines move while it reads them, before it leaves them out.
const ATTEMPTS: usize = 5;

/// Answers `query` from the `instances` it covers.
pub(crate) fn answer(
    query: &LogQuery,
    instances: impl Fn() -> Vec<Arc<Instance>>,
) -> Result<LogPage, QueryError> {
    let filter = Filter::new(query)?;
    Ok(patiently(|lenient| page(query, &filter, &instances(), lenient))?)
}

/// The newest lines that `query` asks for of these `instances`, oldest first. Of each only what is before the
/// place that `end` names.
pub(crate) fn before(
    query: &LogQuery,
    instances: &[Arc<Instance>],
    end: impl Fn(&Instance) -> u64,
) -> Result<Vec<LogLine>, QueryError> {
    let filter = Filter::new(query)?;
    let read = |lenient| {
        let tails =
            instances.iter().map(|instance| InstanceTail::new(instance, &filter, lenient, end(instance)));
        merge::newest(&mut tails.collect::<io::Result<Vec<_>>>()?, &filter, query, &mut PageEnd::default())
    };
    let (mut lines, _) = patiently(read)?;
    lines.reverse();
    Ok(lines)
}

/// Reads until nothing moved meanwhile, and at last leniently.
fn patiently<T>(read: impl Fn(bool) -> io::Result<T>) -> io::Result<T> {
    for _ in 0..ATTEMPTS {
        match read(false) {
            Err(error) if is_stale(&error) => {}
            answer => return answer,
        }
    }
    read(true)
}

fn page(
    query: &LogQuery,
    filter: &Filter,
    instances: &[Arc<Instance>],
    lenient: bool,
) -> io::Result<LogPage> {
    let mut next = query.cursor.clone().unwrap_or_default();
    let before = next.passed;
    let mut tails = tails(query, filter, instances, lenient)?;
    let (mut lines, passed) = merge::newest(&mut tails, filter, query, &mut next)?;
    let left = if filter.is_open() {
        tails.iter().map(|tail| tail.lines).sum()
    } else if query.count {
        passed + merge::count(&mut tails, filter)?
    } else {
        passed + u64::from(merge::any(&mut tails, filter)?)
    };
    filter.check()?;
    lines.reverse();
    let has_more = left > query.offset as u64 + lines.len() as u64;
    let damaged = tails.iter().map(InstanceTail::damaged).sum();
    Ok(LogPage { lines, total: before + left, has_more, next, damaged })
}

/// Every instance, from where the page that is asked for begins.
fn tails(
    query: &LogQuery,
    filter: &Filter,
    instances: &[Arc<Instance>],
    lenient: bool,
) -> io::Result<Vec<InstanceTail>> {
    let tails = instances.iter().map(|instance| {
        let mut end = query.before.get(&instance.name).copied().unwrap_or(u64::MAX);
        let resume = query.cursor.as_ref().map(|cursor| cursor.resume(&instance.name));
        if let Some(Resume::Before(place)) = resume {
            end = end.min(place);
        }
        let mut tail = InstanceTail::new(instance, filter, lenient, end)?;
        if let Some(Resume::Until(moment)) = resume {
            tail.skip(moment)?;
        }
        if instances.len() > merge::WARM {
            tail.rest();
        }
        Ok(tail)
    });
    tails.collect()
}
