//! Takes in no more lines than an instance may write in a second.

use std::{io, os::fd::BorrowedFd};

use tenement_core::time::Millis;
use tenement_runtime::clock;

use super::{
    peek::{PEEK, Peeker, Seen},
    rate::{Rate, Step},
    state::State,
};
use crate::{line::Stream, segment::Intake};

/// A pipe's turn.
pub(crate) struct Turn<'a> {
    pub(crate) stream: Stream,
    pub(crate) pipe: BorrowedFd<'a>,
    /// The most bytes of it.
    pub(crate) max: usize,
    /// A segment that has so many bytes is closed before.
    pub(crate) segment_size: u64,
    pub(crate) peeker: &'a mut Peeker,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// What is in the segment.
    pub(crate) intake: Intake,
    /// Bytes that were left out.
    pub(crate) left_out: u64,
    /// The lines a second that it may write, when it has begun to write more.
    pub(crate) over: Option<u32>,
}

impl From<Intake> for Taken {
    fn from(intake: Intake) -> Self {
        Self { intake, left_out: 0, over: None }
    }
}

impl State {
    /// Moves bytes from a pipe to the segment, as many as the instance may write.
    pub(super) fn take(&mut self, turn: &mut Turn<'_>) -> io::Result<Taken> {
        let Some(limit) = self.limit()? else {
            return self.take_in(turn, turn.max).map(Taken::from);
        };
        let index = turn.stream as usize;
        self.chains[index].write_carried(turn.pipe)?;
        let (mut kept, mut left_out) = (0, 0);
        while kept + left_out < turn.max as u64 {
            match self.step(turn, limit)? {
                Stepped::Kept(bytes) => kept += bytes,
                Stepped::LeftOut(bytes) => left_out += bytes,
                Stepped::Ended(end) if kept + left_out == 0 => return Ok(end.into()),
                Stepped::Ended(_) => break,
            }
        }
        let begins = left_out > 0 && self.episode.begins();
        let over = self.limits.rate.filter(|_| begins);
        Ok(Taken { intake: Intake::Bytes(kept), left_out, over })
    }

    /// Lines a second, as long as lines are counted.
    fn limit(&mut self) -> io::Result<Option<u64>> {
        let now = clock::now();
        match (&mut self.rate, self.limits.rate) {
            (None, None) => return Ok(None),
            (Some(rate), None) if rate.is_calm() => {
                self.rate = None;
                return Ok(None);
            }
            (Some(rate), limit) => rate.turn(now, limit.map_or(u64::MAX, u64::from)),
            (None, Some(_)) => {
                let Self { chains, next_seq, scratch, .. } = self;
                chains.iter_mut().try_for_each(|chain| chain.complete(next_seq, scratch))?;
                self.rate = Some(Rate::new(now, self.chains.each_ref().map(|chain| chain.is_within_line())));
            }
        }
        Ok(Some(self.limits.rate.map_or(u64::MAX, u64::from)))
    }

    fn step(&mut self, turn: &mut Turn<'_>, limit: u64) -> io::Result<Stepped> {
        let stream = turn.stream;
        let Some(rate) = &mut self.rate else { return Ok(Stepped::Ended(Intake::Empty)) };
        if rate.is_spent(stream, limit) {
            return self.leave_out(turn, PEEK);
        }
        let text = match turn.peeker.look(turn.pipe)? {
            Seen::Bytes(text) => text,
            Seen::Empty => return Ok(Stepped::Ended(Intake::Empty)),
            Seen::Closed => return Ok(Stepped::Ended(Intake::Closed)),
        };
        let most = match rate.step(stream, text, limit) {
            Step::Keep(most) => most,
            Step::LeaveOut(count) => return self.leave_out(turn, count),
        };
        self.note(stream)?;
        let intake = self.take_in(turn, most)?;
        if let (Intake::Bytes(bytes), Some(rate)) = (intake, &mut self.rate) {
            let kept = usize::try_from(bytes).unwrap_or(most).min(most);
            rate.keep(stream, &turn.peeker.seen()[..kept], limit);
            return Ok(Stepped::Kept(bytes));
        }
        Ok(Stepped::Ended(intake))
    }

    fn leave_out(&mut self, turn: &mut Turn<'_>, most: usize) -> io::Result<Stepped> {
        let text = match turn.peeker.discard(turn.pipe, most)? {
            Seen::Bytes(text) => text,
            Seen::Empty => return Ok(Stepped::Ended(Intake::Empty)),
            Seen::Closed => return Ok(Stepped::Ended(Intake::Closed)),
        };
        let lines = self.rate.as_mut().map_or(0, |rate| rate.leave_out(turn.stream, text));
        self.lines_left_out += lines;
        self.bytes_left_out += text.len() as u64;
        Ok(Stepped::LeftOut(text.len() as u64))
    }

    /// Says in the stream what is missing there.
    fn note(&mut self, stream: Stream) -> io::Result<()> {
        let Self { chains: [out, err], next_seq, scratch, rate: Some(rate), limits, .. } = self else {
            return Ok(());
        };
        let Some(left_out) = rate.left_out(stream) else { return Ok(()) };
        let (chain, other) = if stream == Stream::Stdout { (out, err) } else { (err, out) };
        other.complete(next_seq, scratch)?;
        chain.note(&left_out.note(limits.rate), next_seq, scratch)?;
        rate.noted(stream);
        Ok(())
    }

    /// Notes what is missing from both streams.
    pub(super) fn note_all(&mut self) -> io::Result<()> {
        Stream::ALL.into_iter().try_for_each(|stream| self.note(stream))
    }

    /// Notes what is missing once a window is over. When that is next.
    pub(super) fn note_if_due(&mut self, now: Millis) -> Option<Millis> {
        let due = self.rate.as_ref()?.note_at()?;
        if due > now {
            return Some(due);
        }
        let noted = self.note_all();
        let failed = noted.is_err();
        self.count(noted.err());
        failed.then(|| now.after(super::AGAIN))
    }
}

enum Stepped {
    Kept(u64),
    LeftOut(u64),
    Ended(Intake),
}
