//! Reads a stream onwards from a line, for who follows it.

use std::{collections::VecDeque, io};

use super::read::{Block, Direction, Reader, SegmentView, Text};

/// Goes through the blocks of a stream from a place on to the newest. What has no end yet is none of them.
#[derive(Debug)]
pub(crate) struct Onward {
    /// Segments that were not reached yet, oldest first.
    segments: VecDeque<SegmentView>,
    current: Option<Reader>,
    /// The mark of `next`, and how many there are.
    at: u32,
    end: u32,
    next: Option<Block>,
    place: u64,
}

impl Onward {
    /// From the line `place` on, or the first one after it. Segments are a stream's, oldest first.
    pub(crate) fn new(segments: Vec<SegmentView>, place: u64) -> io::Result<Self> {
        let mut segments: VecDeque<_> = segments.into_iter().filter(|segment| segment.marks() > 0).collect();
        // The last block of the one before may reach beyond the place.
        let passed = segments.partition_point(|segment| segment.last_seq() <= place).saturating_sub(1);
        segments.drain(..passed);
        let mut onward = Self { segments, current: None, at: 0, end: 0, next: None, place };
        onward.enter()?;
        Ok(onward)
    }

    /// The oldest block that was not passed yet.
    pub(crate) fn peek(&self) -> Option<&Block> {
        self.next.as_ref()
    }

    /// Reads the block that [`Self::peek`] shows. It is not passed.
    pub(crate) fn read(&mut self) -> io::Result<Option<Text>> {
        let (Some(block), Some(reader)) = (self.next, &mut self.current) else { return Ok(None) };
        match reader.read(&block) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            read => read.map(Some),
        }
    }

    /// Passes a block.
    pub(crate) fn advance(&mut self) -> io::Result<()> {
        self.at += 1;
        self.find()
    }

    /// Begins with the next segment.
    fn enter(&mut self) -> io::Result<()> {
        self.next = None;
        let Some(view) = self.segments.pop_front() else {
            self.current = None;
            return Ok(());
        };
        self.end = view.marks();
        let mut reader = Reader::new(view, Direction::On);
        self.at = first_from(&mut reader, self.end, self.place)?;
        self.current = Some(reader);
        self.find()
    }

    /// Looks for a block with lines from the place on. What is damaged keeps nobody from reading what follows.
    fn find(&mut self) -> io::Result<()> {
        self.next = None;
        while let Some(reader) = &mut self.current {
            if self.at == self.end {
                return self.enter();
            }
            match reader.block(self.at) {
                Ok(block) if block.seq + block.lines > self.place => {
                    self.next = Some(block);
                    return Ok(());
                }
                Err(error) if error.kind() != io::ErrorKind::InvalidData => return Err(error),
                Ok(_) | Err(_) => self.at += 1,
            }
        }
        Ok(())
    }
}

/// The first mark whose lines may reach to `place`: the last one that begins there or before. Who follows is
/// mostly near the end, so that is looked at first.
fn first_from(reader: &mut Reader, marks: u32, place: u64) -> io::Result<u32> {
    const NEAR: u32 = 100;
    let (mut low, mut high) = (0, marks);
    let mut probe = marks.saturating_sub(NEAR);
    while low < high {
        // A damaged mark is passed later; before it lies nothing that is lost by beginning there.
        let before = match reader.mark(probe) {
            Ok(mark) => mark.seq <= place,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => false,
            Err(error) => return Err(error),
        };
        if before {
            low = probe + 1
        } else {
            high = probe
        }
        probe = low + (high - low) / 2;
    }
    Ok(low.saturating_sub(1))
}
