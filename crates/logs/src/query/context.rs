//! The lines around lines that were found, as `grep -C` shows them.
//!
//! What was found comes from a page; only what is around it is read here, a group at a time. Groups are of one
//! instance each, in its own order over both streams.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    sync::Arc,
    time::Instant,
};

use tenement_core::name::InstanceName;
use tenement_runtime::clock;

use super::{QueryError, patiently};
use crate::{
    instance::{Instance, Snapshot},
    line::{LogLine, Stream},
    segment::Onward,
};

/// How much around each line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context {
    /// So many lines before it.
    pub before: u64,
    /// And after it.
    pub after: u64,
    /// No more than fits into so many bytes of JSON, for all together.
    pub max_bytes: usize,
    /// When it is given up.
    pub deadline: Option<Instant>,
}

/// A line, found or near one that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// The line.
    pub line: LogLine,
    /// It was found itself.
    pub is_match: bool,
}

/// Lines with what is around them.
#[derive(Clone, Debug, Default)]
pub struct Surrounded {
    /// What lies together, oldest first: of one instance, without a gap where nothing was cut.
    pub groups: Vec<Vec<Near>>,
    /// There was too much: some have less around them, the oldest first.
    pub cut: bool,
    /// Parts of the log around them that can't be read.
    pub damaged: u64,
}

/// Lines of one instance that lie so near that what is around them meets.
struct Group {
    found: BTreeMap<u64, LogLine>,
    first: u64,
    last: u64,
}

/// Puts around `lines`, which are in the order of time, what lies there.
pub(crate) fn around(
    lines: Vec<LogLine>,
    context: &Context,
    instance: impl Fn(&InstanceName) -> Option<Arc<Instance>>,
) -> Result<Surrounded, QueryError> {
    let mut room = context.max_bytes;
    let mut surrounded = Surrounded::default();
    // The newest first: when there is too much, it is lacking where fewest look.
    for (name, group) in grouped(lines, context).into_iter().rev() {
        if context.deadline.is_some_and(|deadline| clock::instant() >= deadline) {
            return Err(QueryError::Late);
        }
        let read = |instance: Arc<Instance>| patiently(|lenient| read(&instance, &group, room, lenient));
        let Around { near, whole, damaged } = instance(&name).map_or(Ok(Around::nothing(true)), read)?;
        room = room.saturating_sub(near.iter().map(LogLine::json_len).sum());
        surrounded.cut |= !whole;
        surrounded.damaged += damaged;
        let mut all = group.found.into_iter().map(|(seq, line)| (seq, Near { line, is_match: true }));
        let mut all: BTreeMap<u64, Near> = all.by_ref().collect();
        for line in near {
            if let Entry::Vacant(free) = all.entry(line.seq) {
                free.insert(Near { line, is_match: false });
            }
        }
        surrounded.groups.push(all.into_values().collect());
    }
    surrounded.groups.reverse();
    Ok(surrounded)
}

/// What was read around a group.
struct Around {
    near: Vec<LogLine>,
    /// There was room for all.
    whole: bool,
    damaged: u64,
}

impl Around {
    fn nothing(whole: bool) -> Self {
        Self { near: Vec::new(), whole, damaged: 0 }
    }
}

/// In the order of their last lines.
fn grouped(lines: Vec<LogLine>, context: &Context) -> Vec<(InstanceName, Group)> {
    let mut found: BTreeMap<InstanceName, BTreeMap<u64, (usize, LogLine)>> = BTreeMap::new();
    for (at, line) in lines.into_iter().enumerate() {
        found.entry(line.instance.clone()).or_default().insert(line.seq, (at, line));
    }
    let mut groups: Vec<(usize, InstanceName, Group)> = Vec::new();
    for (name, lines) in found {
        for (seq, (at, line)) in lines {
            let (first, last) = (seq.saturating_sub(context.before), seq.saturating_add(context.after));
            match groups.last_mut() {
                Some((end, of, group)) if *of == name && first <= group.last.saturating_add(1) => {
                    (*end, group.last) = (at.max(*end), last);
                    group.found.insert(seq, line);
                }
                _ => groups.push((at, name.clone(), Group { found: [(seq, line)].into(), first, last })),
            }
        }
    }
    groups.sort_by_key(|(at, ..)| *at);
    groups.into_iter().map(|(_, name, group)| (name, group)).collect()
}

/// What lies between the first and the last place of a group and was not found, and whether there was room for it.
fn read(instance: &Instance, group: &Group, room: usize, lenient: bool) -> io::Result<Around> {
    let Snapshot { segments: [out, err], .. } = instance.snapshot();
    let (mut lines, mut bytes, mut damaged) = (Vec::new(), 0, 0);
    for (stream, segments) in Stream::ALL.into_iter().zip([out, err]) {
        let read = (|| {
            let mut onward = Onward::new(segments, group.first)?;
            while let Some(&block) = onward.peek().filter(|block| block.seq <= group.last) {
                let Some(text) = onward.read()? else {
                    onward.advance()?;
                    continue;
                };
                let skipped = usize::try_from(group.first.saturating_sub(block.seq)).unwrap_or(usize::MAX);
                let lines_of = (skipped.min(text.len())..text.len()).map(|at| text.line(at));
                for line in lines_of.take_while(|line| line.seq <= group.last) {
                    if group.found.contains_key(&line.seq) {
                        continue;
                    }
                    let line = line.of(&instance.name, stream, text.wall);
                    bytes += line.json_len();
                    if bytes > room {
                        return Ok(false);
                    }
                    lines.push(line);
                }
            }
            damaged += onward.damaged();
            Ok(true)
        })();
        match read {
            Ok(true) => {}
            // One stream alone would look as if the other had been silent.
            Ok(false) => return Ok(Around::nothing(false)),
            Err(error) if lenient && crate::segment::is_stale(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Around { near: lines, whole: true, damaged })
}
