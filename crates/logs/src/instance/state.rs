//! What is guarded by an instance's lock.

use std::{io, path::Path, time::Duration};

use tenement_core::{
    slot::RunId,
    time::{Millis, WallMillis},
};
use tenement_runtime::clock;

use super::{
    AGAIN, COALESCE, FIRST, Snapshot, Turn,
    rate::{Episode, Rate},
};
use crate::{
    line::Stream,
    retention::{SEGMENT_MIN, StreamLimits},
    segment::{Chain, Intake, ToPack},
};

#[derive(Debug)]
pub(super) struct State {
    pub(super) chains: [Chain; 2],
    pub(super) next_seq: u64,
    /// What that was at first.
    pub(super) first_seq: u64,
    /// What it was when the last run began.
    pub(super) run_seq: u64,
    pub(super) last_run: Option<RunId>,
    /// Bytes that came out of pipes.
    pub(super) taken: u64,
    /// What it was when somebody last asked whether there are new lines.
    pub(super) told: u64,
    /// When everything was last described.
    described: Millis,
    pub(super) limits: StreamLimits,
    /// Of its limit, while there is one.
    pub(super) rate: Option<Rate>,
    pub(super) episode: Episode,
    pub(super) lines_left_out: u64,
    pub(super) bytes_left_out: u64,
    /// How many segments had been closed when somebody last asked.
    pub(super) closings_told: u64,
    /// The run whose pipes are open.
    pub(super) attached: Option<RunId>,
    pub(super) write_errors: u64,
    pub(super) scratch: Vec<u8>,
}

impl State {
    pub(super) fn open(dir: &Path, limits: StreamLimits) -> io::Result<Self> {
        let mut next_seq = 0;
        let chains = Chain::open_both(dir, &mut next_seq)?;
        Ok(Self {
            chains,
            next_seq,
            first_seq: next_seq,
            run_seq: 0,
            last_run: None,
            taken: 0,
            told: next_seq,
            described: clock::now(),
            closings_told: 0,
            limits,
            rate: None,
            episode: Episode::default(),
            lines_left_out: 0,
            bytes_left_out: 0,
            attached: None,
            write_errors: 0,
            scratch: Vec::new(),
        })
    }

    /// Leaves no file open where nothing will come.
    pub(super) fn leave_tidy(&mut self) {
        if self.attached.is_none() {
            self.chains.iter_mut().for_each(Chain::close);
        }
    }

    pub(super) fn chain(&mut self, stream: Stream) -> &mut Chain {
        &mut self.chains[stream as usize]
    }

    /// What is to be packed next: the oldest, so that no stream keeps the other waiting.
    pub(super) fn to_pack(&self) -> Option<ToPack> {
        self.chains
            .iter()
            .filter_map(Chain::to_pack)
            .min_by_key(|next| (next.is_packed, next.view.last_seq()))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.chains.iter().map(Chain::bytes).sum()
    }

    pub(super) fn count<E>(&mut self, error: Option<E>) {
        self.write_errors += u64::from(error.is_some());
    }

    /// Moves at most `max` bytes from a pipe to the segment.
    pub(super) fn take_in(&mut self, turn: &Turn<'_>, max: usize) -> io::Result<Intake> {
        let segment_size = turn.segment_size.min(self.limits.segment_size());
        let Self { chains: [out, err], next_seq, scratch, .. } = self;
        let (chain, other) = if turn.stream == Stream::Stdout { (out, err) } else { (err, out) };
        // What the other stream wrote before comes first.
        other.complete(next_seq, scratch)?;
        let old = chain.pending().is_some_and(|pending| pending.since.after(COALESCE) <= clock::now());
        if old || chain.block_is_full() {
            chain.complete(next_seq, scratch)?;
        }
        if chain.last_size() >= segment_size {
            // No mark of a later line is kept before those of earlier ones.
            other.write_marks()?;
            chain.roll(next_seq, scratch)?;
        }
        // A line that has not ended makes a segment larger.
        let room = segment_size.saturating_sub(chain.last_size()).max(SEGMENT_MIN);
        let intake = chain.take(turn.pipe, max.min(usize::try_from(room).unwrap_or(max)))?;
        if let Intake::Bytes(count) = intake {
            self.taken += count;
        }
        Ok(intake)
    }

    /// Closes segments to which nothing comes any more. When the next one may be.
    pub(super) fn close_quiet(&mut self, now: Millis, segment_size: u64) -> Option<Millis> {
        let size = segment_size.min(self.limits.segment_size());
        let mut next = None;
        for index in 0..2 {
            let Some(due) = self.chains[index].quiet_at(size) else { continue };
            let failed = due <= now && self.close(index).is_err();
            let due = if due > now { Some(due) } else { failed.then(|| now.after(AGAIN)) };
            next = next.into_iter().chain(due).min();
        }
        next
    }

    /// Closes segments that have grown for long enough.
    pub(super) fn close_old(&mut self, now: WallMillis) -> io::Result<()> {
        (0..2).try_for_each(|index| if self.chains[index].is_old(now) { self.close(index) } else { Ok(()) })
    }

    fn close(&mut self, index: usize) -> io::Result<()> {
        let Self { chains, next_seq, scratch, .. } = self;
        let closed = chains[index].roll(next_seq, scratch);
        self.count(closed.as_ref().err());
        closed
    }

    /// Lets go what is too old or too much.
    pub(super) fn expire(&mut self, now: WallMillis) -> io::Result<()> {
        let horizon = WallMillis(now.0.saturating_sub(millis(self.limits.retention)));
        for index in 0..2 {
            self.close_if_old(index, horizon)?;
            let grows = usize::from(self.attached.is_some());
            let chain = &mut self.chains[index];
            while chain.oldest().is_some_and(|wall| wall < horizon) && chain.segments().len() > grows {
                chain.remove_oldest()?;
            }
        }
        self.bound()
    }

    /// Lets go the oldest lines while there are too many.
    pub(super) fn bound(&mut self) -> io::Result<()> {
        loop {
            let over = self.bytes().saturating_sub(self.limits.max_size);
            if over == 0 || !self.let_go(over)? {
                return Ok(());
            }
        }
    }

    /// Lets go the oldest lines when there are `over` bytes too many, about a segment of them at a time.
    /// Whether there were any.
    pub(super) fn let_go(&mut self, over: u64) -> io::Result<bool> {
        let [out, err] = &self.chains;
        let by_size = if out.last_size() < err.last_size() { [1, 0] } else { [0, 1] };
        // What is in one piece has to be copied to keep a part of it; such a piece is left from times when the
        // limit was another one.
        if self.chains[by_size[0]].last_size() > self.limits.max_size / 4 && self.trim(by_size[0], over)? {
            return Ok(true);
        }
        if let Some(index) = self.oldest_closed() {
            return self.chains[index].remove_oldest();
        }
        for index in by_size {
            if self.trim(index, over)? || (self.attached.is_none() && self.chains[index].remove_oldest()?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keeps the newest half of the only segment of a stream, or less of it. Whether there was more.
    fn trim(&mut self, index: usize, over: u64) -> io::Result<bool> {
        let Self { chains, next_seq, scratch, .. } = self;
        let chain = &mut chains[index];
        let Some(only) = chain.segments().back() else { return Ok(false) };
        let (len, size) = (only.len, only.size());
        let fits = len * size.saturating_sub(over) / size;
        chain.trim(fits.min(len / 2), next_seq, scratch)
    }

    pub(super) fn due(&self, window: Duration) -> Option<Millis> {
        let first = self.chains.iter().filter_map(|chain| Some(chain.pending()?.since)).min()?;
        Some(first.after(FIRST).max(self.described.after(window).min(first.after(window))))
    }

    /// Whether the newest line of each stream is older.
    pub(super) fn is_silent_since(&self, since: WallMillis) -> bool {
        let newest = |chain: &Chain| chain.segments().back().map(crate::segment::Segment::last_wall);
        self.chains.iter().filter_map(newest).all(|wall| wall < since)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            segments: self.chains.each_ref().map(Chain::view),
            next_seq: self.next_seq,
            lines: self.chains.iter().map(|chain| chain.lines() + u64::from(chain.has_open_line())).sum(),
        }
    }

    /// The stream that has the oldest segment that is closed.
    fn oldest_closed(&self) -> Option<usize> {
        let closed = (0..2).filter(|&index| self.chains[index].segments().len() > 1);
        closed.min_by_key(|&index| self.chains[index].oldest())
    }

    /// Lets go the oldest segment that is closed. How many bytes that were.
    pub(super) fn drop_closed(&mut self) -> io::Result<Option<u64>> {
        let Some(index) = self.oldest_closed() else { return Ok(None) };
        let before = self.bytes();
        self.chains[index].remove_oldest()?;
        Ok(Some(before.saturating_sub(self.bytes())))
    }

    pub(super) fn complete_all(&mut self) -> io::Result<()> {
        let Self { chains, next_seq, scratch, described, .. } = self;
        if chains.iter().any(|chain| chain.pending().is_some()) {
            *described = clock::now();
        }
        chains.sort_order().into_iter().try_for_each(|index| chains[index].complete(next_seq, scratch))?;
        chains.iter_mut().try_for_each(Chain::write_marks)?;
        // What describes the lines counts too.
        self.bound()
    }

    /// A segment that grows is never erased; so one whose lines are all too old is closed first.
    fn close_if_old(&mut self, index: usize, horizon: WallMillis) -> io::Result<()> {
        let Self { chains, next_seq, scratch, attached, .. } = self;
        let old =
            chains[index].segments().back().is_some_and(|last| last.last_wall() < horizon && last.len > 0);
        if attached.is_some() && old { chains[index].roll(next_seq, scratch) } else { Ok(()) }
    }
}

/// The order in which pending bytes arrived.
trait Arrival {
    fn sort_order(&self) -> [usize; 2];
}

impl Arrival for [Chain; 2] {
    fn sort_order(&self) -> [usize; 2] {
        let [out, err] = self.each_ref().map(|chain| chain.pending().map(|pending| pending.since));
        if err < out { [1, 0] } else { [0, 1] }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
