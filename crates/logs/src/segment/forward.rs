//! Reads a stream onwards from a line, for who follows it.

use std::{collections::VecDeque, io};

use super::{
    block::{Block, Text},
    damage::Damage,
    read::{Direction, Reader, SegmentView},
};

/// Goes through the blocks of a stream from a place on to the newest. What has no end yet is none of them.
#[derive(Debug)]
pub(crate) struct Onward {
    /// Segments that were not reached yet, oldest first.
    segments: VecDeque<SegmentView>,
    current: Option<Reader>,
    next: Option<Block>,
    place: u64,
    damage: Damage,
}

impl Onward {
    /// From the line `place` on, or the first one after it. Segments are a stream's, oldest first.
    pub(crate) fn new(segments: Vec<SegmentView>, place: u64) -> io::Result<Self> {
        let mut segments: VecDeque<_> = segments.into_iter().filter(|segment| segment.marks() > 0).collect();
        // The last block of the one before may reach beyond the place.
        let passed = segments.partition_point(|segment| segment.last_seq() <= place).saturating_sub(1);
        segments.drain(..passed);
        let mut onward = Self { segments, current: None, next: None, place, damage: Damage::default() };
        onward.enter()?;
        onward.advance()?;
        Ok(onward)
    }

    /// How many parts can't be read, since it was asked last.
    pub(crate) fn damaged(&mut self) -> u64 {
        std::mem::take(&mut self.damage).count()
    }

    /// The oldest block that was not passed yet.
    pub(crate) fn peek(&self) -> Option<&Block> {
        self.next.as_ref()
    }

    /// Reads some lines of the block that [`Self::peek`] shows, and passes them. `None` when they can't be read;
    /// then nothing of the block is passed.
    pub(crate) fn read(&mut self) -> io::Result<Option<Text>> {
        let (Some(block), Some(reader)) = (self.next, &mut self.current) else { return Ok(None) };
        let (text, left) = match reader.read_some(&block) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.damage.meet();
                return Ok(None);
            }
            read => read?,
        };
        match left {
            Some(_) => self.next = left,
            None => self.advance()?,
        }
        Ok(Some(text))
    }

    /// Passes a block, or what is left of it, and looks for the next with lines from the place on. What is damaged
    /// keeps nobody from reading what follows.
    pub(crate) fn advance(&mut self) -> io::Result<()> {
        self.next = None;
        while let Some(reader) = &mut self.current {
            match reader.next() {
                Ok(Some(block)) if block.seq + block.lines > self.place => {
                    self.next = Some(block);
                    return Ok(());
                }
                Ok(None) => self.enter()?,
                Err(error) if error.kind() != io::ErrorKind::InvalidData => return Err(error),
                Ok(Some(_)) => {}
                Err(_) => self.damage.meet(),
            }
        }
        Ok(())
    }

    /// Begins with the next segment.
    fn enter(&mut self) -> io::Result<()> {
        self.current = None;
        while let Some(view) = self.segments.pop_front() {
            let mut reader = match Reader::new(view, Direction::On) {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    self.damage.meet();
                    continue;
                }
                reader => reader?,
            };
            reader.seek(self.place)?;
            self.current = Some(reader);
            return Ok(());
        }
        Ok(())
    }
}
