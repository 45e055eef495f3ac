//! Questions to the log, answered by reading backwards.

mod filter;
mod literals;
mod merge;

use std::{collections::BTreeMap, io, sync::Arc};

use tenement_core::{
    name::{InstanceName, ServiceName},
    time::WallMillis,
};

use crate::{instance::Instance, level::LevelSet, line::LogLine, segment::is_stale};
pub(crate) use filter::Filter;
use merge::InstanceTail;

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
    /// Of these levels only (`level=` as a set, `min_level=` as [`LevelSet::at_least`], both with
    /// [`LevelSet::and`]).
    pub levels: LevelSet,
    /// Matching this regular expression, in the syntax of the `regex` crate, somewhere in the line.
    pub grep: Option<String>,
    /// Holding this text as it is.
    pub search: Option<String>,
    /// Holding all of these texts, in upper or lower case.
    pub terms: Vec<String>,
    /// Not before.
    pub since: Option<WallMillis>,
    /// Not after.
    pub until: Option<WallMillis>,
    /// Of these instances only what is before these places among their lines.
    pub before: BTreeMap<InstanceName, u64>,
    /// Whatever else is asked for, of these only: what the asker may see.
    pub bounds: Bounds,
    /// At most so many.
    pub limit: usize,
    /// Skips so many of the newest.
    pub offset: usize,
    /// No more lines than fit into so many bytes of JSON, but one at least.
    pub max_bytes: usize,
}

impl Default for LogQuery {
    /// The newest 50 lines of everything.
    fn default() -> Self {
        Self {
            service: None,
            instance: None,
            levels: LevelSet::ALL,
            grep: None,
            search: None,
            terms: Vec::new(),
            since: None,
            until: None,
            before: BTreeMap::new(),
            bounds: Bounds::default(),
            limit: 50,
            offset: 0,
            max_bytes: usize::MAX,
        }
    }
}

impl LogQuery {
    /// Whether lines of this instance are asked for.
    pub(crate) fn covers(&self, name: &InstanceName) -> bool {
        self.service.as_ref().is_none_or(|service| *service == name.service)
            && self.instance.as_ref().is_none_or(|instance| instance == name)
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
    /// All that match, before `limit` and `offset`.
    pub total: u64,
    /// There are older ones.
    pub has_more: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// `grep` is not a regular expression, or too large a one.
    #[error("grep: {0}")]
    Grep(#[from] regex::Error),
    /// The segments could not be read.
    #[error("reading the log: {0}")]
    Io(#[from] std::io::Error),
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
        merge::newest(&mut tails.collect::<io::Result<Vec<_>>>()?, &filter, query)
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
    let end = |instance: &Instance| query.before.get(&instance.name).copied().unwrap_or(u64::MAX);
    let tails = instances.iter().map(|instance| InstanceTail::new(instance, filter, lenient, end(instance)));
    let mut tails = tails.collect::<io::Result<Vec<_>>>()?;
    let (mut lines, passed) = merge::newest(&mut tails, filter, query)?;
    let total = if filter.is_open() {
        tails.iter().map(|tail| tail.lines).sum()
    } else {
        passed + merge::count(&mut tails, filter)?
    };
    lines.reverse();
    let has_more = total > query.offset as u64 + lines.len() as u64;
    Ok(LogPage { lines, total, has_more })
}
