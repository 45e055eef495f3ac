//! All lines that are asked for, oldest first, however many.
//!
//! ```text
//!   heap: time of the next line of each instance ──► the oldest has its turn ──► until another one is older
//!                                                          │
//!                      kept open: the last few ◄───────────┘ all others are only a place
//! ```
//!
//! What is written meanwhile is not among them, so it ends by itself. Lines wait on the disk for their reader.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    io,
    sync::Arc,
};

use tenement_core::time::WallMillis;

use super::{Filter, LogQuery, QueryError};
use crate::{
    instance::{Instance, Snapshot},
    line::{LogLine, Stream},
    segment::{Block, Onward, is_stale},
};

/// A batch ends with about so many lines, or bytes as JSON.
const BATCH_LINES: usize = 256;
const BATCH_BYTES: usize = 64 << 10;
/// The most bytes that are looked at for one.
const BATCH_READ: usize = 8 << 20;
/// Instances whose files are known where they are read from.
const OPEN: usize = 32;
/// How often lines that move while they are read are looked for anew, before they are given up.
const ATTEMPTS: usize = 5;

/// Reads all lines, a batch at a time.
pub struct Export {
    filter: Filter,
    sources: Vec<Source>,
    /// Whose next line is the oldest; between equals the order of names decides.
    heap: BinaryHeap<Reverse<(WallMillis, usize)>>,
    /// Who had the last turns, the last one at the end.
    open: VecDeque<(usize, Reading)>,
    /// Parts that can't be read.
    damaged: u64,
}

/// An instance, and what of it was not handed out yet.
struct Source {
    instance: Arc<Instance>,
    place: u64,
    end: u64,
}

/// Its two streams from a place on.
struct Reading([Onward; 2]);

impl Reading {
    /// The stream with the next line, and its block.
    fn next(&self) -> Option<(usize, Block)> {
        let heads = self.0.iter().enumerate().filter_map(|(at, onward)| Some((at, *onward.peek()?)));
        heads.min_by_key(|(_, block)| block.seq)
    }

    /// How many parts of what is asked for can't be read, since it was asked last.
    fn damaged(&mut self, filter: &Filter) -> u64 {
        let wanted = Stream::ALL.iter().zip(&mut self.0).filter(|(stream, _)| filter.wants(**stream));
        wanted.map(|(_, onward)| onward.damaged()).sum()
    }
}

#[derive(Default)]
struct Batch {
    lines: Vec<LogLine>,
    bytes: usize,
    read: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_LINES || self.bytes >= BATCH_BYTES || self.read >= BATCH_READ
    }
}

impl Export {
    pub(crate) fn new(query: &LogQuery, instances: Vec<Arc<Instance>>) -> Result<Self, QueryError> {
        let filter = Filter::new(query)?;
        let source =
            |instance: Arc<Instance>| Source { place: 0, end: instance.snapshot().next_seq, instance };
        let sources: Vec<Source> = instances.into_iter().map(source).collect();
        let mut export = Self { filter, heap: BinaryHeap::new(), open: VecDeque::new(), sources, damaged: 0 };
        for index in 0..export.sources.len() {
            // No room: only when its first line came is found out.
            export.turn(index, None, &mut Batch { read: BATCH_READ, ..Batch::default() })?;
        }
        Ok(export)
    }

    /// The next lines, perhaps none; `None` at the end. Blocks on the disk.
    ///
    /// # Errors
    /// The disk cannot be read. What is damaged keeps nobody from the rest: that it was met is said at the end.
    pub fn read(&mut self) -> Result<Option<Vec<LogLine>>, QueryError> {
        let mut batch = Batch::default();
        while !batch.is_full() {
            let Some(Reverse((_, index))) = self.heap.pop() else {
                return match self.damaged {
                    _ if !batch.lines.is_empty() => Ok(Some(batch.lines)),
                    0 => Ok(None),
                    damaged => Err(QueryError::Damaged(damaged)),
                };
            };
            let until = self.heap.peek().map(|Reverse((wall, _))| *wall);
            self.turn(index, until, &mut batch)?;
        }
        Ok(Some(batch.lines))
    }

    /// Takes lines of one instance that are not younger than `until`, and puts it back.
    fn turn(&mut self, index: usize, until: Option<WallMillis>, batch: &mut Batch) -> io::Result<()> {
        for attempt in 1.. {
            let source = &mut self.sources[index];
            let kept = self.open.iter().position(|(of, _)| *of == index).and_then(|at| self.open.remove(at));
            let taken = match kept {
                Some((_, reading)) => Ok(reading),
                None => source.open(),
            };
            let taken = taken.and_then(|mut reading| {
                let next = source.take(&mut reading, &self.filter, until, batch);
                self.damaged += reading.damaged(&self.filter);
                Ok((reading, next?))
            });
            match taken {
                Ok((reading, Some(wall))) => {
                    self.open.push_back((index, reading));
                    if self.open.len() > OPEN {
                        self.open.pop_front();
                    }
                    self.heap.push(Reverse((wall, index)));
                    return Ok(());
                }
                Ok((_, None)) => return Ok(()),
                Err(error) if is_stale(&error) && attempt < ATTEMPTS => {}
                // Retention takes faster than it is read: what is left is not handed out, and that is said.
                Err(error) if is_stale(&error) => {
                    self.damaged += 1;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Source {
    fn open(&self) -> io::Result<Reading> {
        let Snapshot { segments: [out, err], .. } = self.instance.snapshot();
        Ok(Reading([Onward::new(out, self.place)?, Onward::new(err, self.place)?]))
    }

    /// Takes lines not younger than `until`. The time of the next one, if there is one.
    fn take(
        &mut self,
        reading: &mut Reading,
        filter: &Filter,
        until: Option<WallMillis>,
        batch: &mut Batch,
    ) -> io::Result<Option<WallMillis>> {
        while let Some((at, block)) = reading.next().filter(|(_, block)| block.seq < self.end) {
            let (stream, onward) = (Stream::ALL[at], &mut reading.0[at]);
            if !filter.wants(stream) || !filter.may_hold(&block) {
                onward.advance()?;
                self.place = self.place.max(block.seq + block.lines);
                continue;
            }
            if batch.is_full() || until.is_some_and(|until| block.wall > until) {
                return Ok(Some(block.wall));
            }
            let Some(text) = onward.read()? else {
                onward.advance()?;
                continue;
            };
            batch.read += text.bytes().len();
            let may_match = filter.may_match(&text);
            for line in (0..text.len()).map(|at| text.line(at)) {
                if may_match && (self.place..self.end).contains(&line.seq) && filter.passes(stream, &line) {
                    let line = line.of(&self.instance.name, stream, text.wall);
                    batch.bytes += line.json_len();
                    batch.lines.push(line);
                }
            }
            self.place = self.place.max(block.seq + text.len() as u64);
        }
        Ok(None)
    }
}

impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("instances", &self.sources.len()).finish_non_exhaustive()
    }
}
