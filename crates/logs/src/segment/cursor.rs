//! Reads a stream backwards.

use std::{collections::VecDeque, io, sync::Arc};

use tenement_core::time::WallMillis;

use super::{
    block::{Block, Text},
    damage::Damage,
    read::{Direction, Reader, SegmentView, is_stale},
};
use crate::index::Plan;

/// Goes through the blocks of a stream from the newest to the oldest.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// Segments that were not reached yet, oldest first.
    segments: VecDeque<SegmentView>,
    current: Option<Reader>,
    next: Option<Block>,
    /// Lines that have not what is asked for are left out where an index knows them.
    plan: Option<Arc<Plan>>,
    /// The newest segment was not left yet.
    newest: bool,
    /// Goes on without what is not there any more.
    lenient: bool,
    damage: Damage,
}

impl Cursor {
    /// `open_seq`: the place an unfinished line will probably get. `lenient`: what went away since `segments`
    /// were looked at is left out; otherwise it is an error ([`is_stale`]) where its lines may have moved on.
    pub(crate) fn new(
        segments: Vec<SegmentView>,
        open_seq: u64,
        lenient: bool,
        plan: Option<Arc<Plan>>,
    ) -> io::Result<Self> {
        let segments = VecDeque::from(segments);
        let open = segments.back().and_then(|view| view.segment.open_line(open_seq));
        let (newest, damage) = (true, Damage::default());
        let mut cursor = Self { segments, current: None, next: open, plan, newest, lenient, damage };
        cursor.enter()?;
        if open.is_none() {
            cursor.advance()?;
        }
        Ok(cursor)
    }

    /// Lets go what was read ahead; it is read again when it is needed.
    pub(crate) fn rest(&mut self) {
        self.current.iter_mut().for_each(Reader::rest);
    }

    /// How many parts were passed that can't be read.
    pub(crate) fn damaged(&self) -> u64 {
        self.damage.count()
    }

    /// The newest block that was not passed yet.
    pub(crate) fn peek(&self) -> Option<&Block> {
        self.next.as_ref()
    }

    /// Reads the block that [`Self::peek`] shows, and passes it. `None` when it is not there any more.
    pub(crate) fn read(&mut self) -> io::Result<Option<Text>> {
        let (Some(block), Some(reader)) = (self.next, &mut self.current) else { return Ok(None) };
        let text = match reader.read(&block) {
            Ok(text) => Some(text),
            Err(error) => self.without(error).map(|()| None)?,
        };
        self.advance()?;
        Ok(text)
    }

    /// Passes a block without reading it.
    pub(crate) fn advance(&mut self) -> io::Result<()> {
        self.next = None;
        while let Some(reader) = &mut self.current {
            match reader.next() {
                Ok(Some(block)) => {
                    self.next = Some(block);
                    return Ok(());
                }
                Ok(None) => self.leave()?,
                Err(error) => self.without(error)?,
            }
        }
        Ok(())
    }

    /// Passes what is left of a segment whose index knows which lines have what the plan asks for, when all of them
    /// are of a time that is `in_time` and before the place `end`. How many have it.
    pub(crate) fn pass_known(
        &mut self,
        in_time: impl Fn(WallMillis) -> bool,
        end: u64,
    ) -> io::Result<Option<u64>> {
        let (Some(block), Some(reader)) = (self.next, &self.current) else { return Ok(None) };
        let Some(hits) = reader.hits().filter(|hits| hits.settled) else { return Ok(None) };
        let Some(packed) = &reader.view.segment.packed else { return Ok(None) };
        if !in_time(packed.from) || !in_time(packed.to) || packed.end_seq > end {
            return Ok(None);
        }
        let count = hits.sure.count_before(block.first + block.lines as u32);
        self.leave()?;
        self.advance()?;
        Ok(Some(count))
    }

    /// Goes to the segment before.
    fn leave(&mut self) -> io::Result<()> {
        self.newest = false;
        self.enter()
    }

    /// Begins with the newest segment that was not reached yet.
    fn enter(&mut self) -> io::Result<()> {
        self.current = None;
        while let Some(view) = self.segments.pop_back() {
            let dir = Arc::clone(&view.dir);
            match Reader::new(view, Direction::Back) {
                Ok(mut reader) => {
                    if let Some(plan) = &self.plan {
                        reader.only(plan);
                    }
                    self.current = Some(reader);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    self.damage.meet();
                    tracing::error!(folder = %dir.display(), %error, "a segment of a log can't be read");
                }
                // Those before it are gone too, whatever is remembered of them.
                Err(error) if error.kind() == io::ErrorKind::NotFound && (self.lenient || !self.newest) => {
                    self.segments.clear();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Goes on without what is not there, where that is no error: retention takes segments, and all before
    /// them, any time. Of the newest segment that can't be said: it may have been split. What is damaged keeps
    /// nobody from reading the rest.
    fn without(&mut self, error: io::Error) -> io::Result<()> {
        let retained = error.kind() == io::ErrorKind::NotFound && !self.newest;
        let left_out = self.lenient && is_stale(&error);
        let damaged = error.kind() == io::ErrorKind::InvalidData;
        if !(retained || left_out || damaged) {
            return Err(error);
        }
        if let Some(reader) = self.current.as_ref().filter(|_| damaged) {
            self.damage.meet();
            let folder = reader.view.dir.display();
            tracing::error!(%folder, %error, "a log is damaged; some of its lines can't be read");
        }
        // The end of a line that has not ended moves on alone; one damaged frame says nothing of others.
        let alone = self.next.is_some_and(|block| block.open)
            || (damaged && self.current.as_ref().is_some_and(Reader::is_packed));
        if alone {
            return Ok(());
        }
        if !damaged {
            // Those before it are gone too, whatever is remembered of them.
            self.segments.clear();
        }
        self.leave()
    }
}
