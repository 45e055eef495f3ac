//! One order over the streams of an instance, and over instances.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    io,
};

use tenement_core::{name::InstanceName, time::WallMillis};

use super::{LogQuery, PageEnd, filter::Filter};
use crate::{
    instance::{Instance, Snapshot},
    level::Level,
    line::{LogLine, Stream},
    segment::{Cursor, Text},
};

/// A stream, read from its end.
struct StreamTail {
    stream: Stream,
    cursor: Cursor,
    text: Text,
    /// Lines of `text` that pass and were not returned yet.
    left: Vec<u32>,
    /// Lines from here on are left out.
    end: u64,
}

impl StreamTail {
    /// Place and time of the newest line that was not returned yet.
    fn head(&self) -> Option<(u64, WallMillis)> {
        if let Some(&last) = self.left.last() {
            return Some((self.text.line(last as usize).seq, self.text.wall));
        }
        self.cursor.peek().map(|block| (block.seq + block.lines.saturating_sub(1), block.wall))
    }

    /// Reads the next block, if lines of it can pass.
    fn step(&mut self, filter: &Filter) -> io::Result<()> {
        filter.check()?;
        let Some(block) = self.cursor.peek() else { return Ok(()) };
        if !filter.may_hold(block) || block.seq >= self.end {
            return self.cursor.advance();
        }
        if let Some(text) = self.cursor.read()? {
            self.left = filter.select(self.stream, &text);
            while self.left.last().is_some_and(|&last| text.line(last as usize).seq >= self.end) {
                self.left.pop();
            }
            self.text = text;
        }
        Ok(())
    }

    /// Shows time and level of all matching lines that are left, newest first.
    fn each(&mut self, filter: &Filter, visit: &mut impl FnMut(WallMillis, Level)) -> io::Result<()> {
        loop {
            while let Some(last) = self.left.pop() {
                visit(self.text.wall, self.text.line(last as usize).level(self.stream));
            }
            if self.cursor.peek().is_none() {
                self.text = Text::default();
                return Ok(());
            }
            self.step(filter)?;
        }
    }

    /// Whether a matching line is left.
    fn any(&mut self, filter: &Filter) -> io::Result<bool> {
        while self.left.is_empty() && self.cursor.peek().is_some() {
            self.step(filter)?;
        }
        Ok(!self.left.is_empty())
    }

    /// Counts all matching lines that are left.
    fn count(&mut self, filter: &Filter) -> io::Result<u64> {
        let mut matching = 0;
        loop {
            matching += std::mem::take(&mut self.left).len() as u64;
            filter.check()?;
            if let Some(known) = self.cursor.pass_known(|wall| filter.in_time(wall), self.end)? {
                matching += known;
            } else if self.cursor.peek().is_some() {
                self.step(filter)?;
            } else {
                self.text = Text::default();
                return Ok(matching);
            }
        }
    }
}

/// An instance, read from its end.
pub(super) struct InstanceTail {
    name: InstanceName,
    streams: [StreamTail; 2],
    /// Lines before the end, before any filter.
    pub(super) lines: u64,
}

impl InstanceTail {
    /// `lenient`: leaves out what goes away while it is read. Lines from the place `end` on are left out.
    pub(super) fn new(instance: &Instance, filter: &Filter, lenient: bool, end: u64) -> io::Result<Self> {
        let Snapshot { segments: [out, err], next_seq, lines } = instance.snapshot();
        let tail = |stream, segments, open_seq| {
            let segments = if filter.wants(stream) { segments } else { Vec::new() };
            let cursor = Cursor::new(segments, open_seq, lenient, filter.plan())?;
            io::Result::Ok(StreamTail { stream, cursor, text: Text::default(), left: Vec::new(), end })
        };
        let lines = lines.saturating_sub(next_seq.saturating_sub(end));
        let streams = [tail(Stream::Stdout, out, next_seq)?, tail(Stream::Stderr, err, next_seq + 1)?];
        Ok(Self { name: instance.name.clone(), streams, lines })
    }

    /// Passes the newest blocks as long as they are younger than `moment`. Only before any line was returned.
    pub(super) fn skip(&mut self, moment: WallMillis) -> io::Result<()> {
        while let Some((_, wall, index)) = self.head()
            && wall > moment
        {
            let StreamTail { cursor, end, .. } = &mut self.streams[index];
            if let Some(block) = cursor.peek() {
                let counted = (block.seq + block.lines).min(*end).saturating_sub(block.seq);
                self.lines = self.lines.saturating_sub(counted);
            }
            cursor.advance()?;
        }
        Ok(())
    }

    /// Shows time and level of all matching lines that are left, in no order.
    pub(super) fn each(
        &mut self,
        filter: &Filter,
        visit: &mut impl FnMut(WallMillis, Level),
    ) -> io::Result<()> {
        self.streams.iter_mut().try_for_each(|stream| stream.each(filter, visit))
    }

    /// How many parts were passed that can't be read.
    pub(super) fn damaged(&self) -> u64 {
        self.streams.iter().map(|stream| stream.cursor.damaged()).sum()
    }

    /// Lets go what was read ahead.
    pub(super) fn rest(&mut self) {
        self.streams.iter_mut().for_each(|stream| stream.cursor.rest());
    }

    fn head(&self) -> Option<(u64, WallMillis, usize)> {
        let heads = self.streams.iter().enumerate();
        heads.filter_map(|(index, stream)| stream.head().map(|(seq, wall)| (seq, wall, index))).max()
    }

    /// The newest line that passes and was not returned yet; `None` when some of the log was passed to find it.
    fn next(&mut self, filter: &Filter) -> io::Result<Option<LogLine>> {
        let Some((_, wall, index)) = self.head() else { return Ok(None) };
        let stream = &mut self.streams[index];
        let Some(last) = stream.left.pop() else {
            // What was skipped may leave the other stream, or another instance, with the newest line.
            stream.step(filter)?;
            return Ok(None);
        };
        let line = stream.text.line(last as usize).of(&self.name, stream.stream, wall);
        if stream.left.is_empty() {
            // Others have their turn now, perhaps thousands.
            stream.text = Text::default();
        }
        Ok(Some(line))
    }

    fn any(&mut self, filter: &Filter) -> io::Result<bool> {
        let [out, err] = &mut self.streams;
        Ok(out.any(filter)? || err.any(filter)?)
    }

    fn count(&mut self, filter: &Filter) -> io::Result<u64> {
        let [out, err] = &mut self.streams;
        Ok(out.count(filter)? + err.count(filter)?)
    }
}

/// So many instances keep what they have read ahead.
pub(super) const WARM: usize = 256;

/// Those that do, by index: the first one had its turn first.
struct Warm {
    order: VecDeque<usize>,
    known: Vec<bool>,
}

impl Warm {
    /// It has its turn.
    fn turn(&mut self, index: usize, tails: &mut [InstanceTail]) {
        if std::mem::replace(&mut self.known[index], true) {
            return;
        }
        self.order.push_back(index);
        if self.order.len() > WARM
            && let Some(first) = self.order.pop_front()
        {
            self.known[first] = false;
            tails[first].rest();
        }
    }
}

/// Returns the matching lines of all `tails` that are on the page `query` asks for, newest first, and how many
/// matching ones were passed. `mark` is moved over all that were returned or skipped.
///
/// Between instances the clock decides; within one its own order, whatever the clock did.
pub(super) fn newest(
    tails: &mut [InstanceTail],
    filter: &Filter,
    query: &LogQuery,
    mark: &mut PageEnd,
) -> io::Result<(Vec<LogLine>, u64)> {
    let key = |tails: &[InstanceTail], index: usize| Some((tails[index].head()?.1, Reverse(index)));
    let mut heads: BinaryHeap<_> = (0..tails.len()).filter_map(|index| key(tails, index)).collect();
    let mut lines = Vec::new();
    let mut warm = Warm { order: VecDeque::new(), known: vec![false; tails.len()] };
    let (mut passed, mut bytes) = (0, 0);
    while lines.len() < query.limit
        && let Some((_, Reverse(index))) = heads.pop()
    {
        warm.turn(index, tails);
        if let Some(line) = tails[index].next(filter)? {
            passed += 1;
            let on_page = passed > query.offset;
            if on_page {
                bytes += line.json_len();
                if bytes > query.max_bytes && !lines.is_empty() {
                    break;
                }
            }
            mark.pass(&line.instance, line.seq, line.timestamp);
            lines.extend(on_page.then_some(line));
        }
        heads.extend(key(tails, index));
    }
    Ok((lines, passed as u64))
}

/// Counts the matching lines that are left.
pub(super) fn count(tails: &mut [InstanceTail], filter: &Filter) -> io::Result<u64> {
    tails.iter_mut().try_fold(0, |sum, tail| Ok(sum + tail.count(filter)?))
}

/// Whether a matching line is left.
pub(super) fn any(tails: &mut [InstanceTail], filter: &Filter) -> io::Result<bool> {
    for tail in tails {
        if tail.any(filter)? {
            return Ok(true);
        }
    }
    Ok(false)
}
