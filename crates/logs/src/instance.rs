//! What one instance writes: two streams, and one order over both.

use std::{
    fs::{self, DirBuilder},
    io,
    os::{fd::BorrowedFd, unix::fs::DirBuilderExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tenement_core::{
    name::InstanceName,
    slot::RunId,
    time::{Millis, WallMillis},
};
use tenement_runtime::clock;

use crate::{
    line::Stream,
    retention::StreamLimits,
    segment::{Chain, Intake, SegmentView},
    store::InstanceStats,
};

/// Lines that arrive within this time of each other get one time and one mark.
pub(crate) const COALESCE: Duration = Duration::from_millis(10);

/// The log of one instance, shared by the thread that takes lines in and those that read.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) name: InstanceName,
    dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    chains: [Chain; 2],
    next_seq: u64,
    limits: StreamLimits,
    segment_size: u64,
    /// The run whose pipes are open.
    attached: Option<RunId>,
    write_errors: u64,
    scratch: Vec<u8>,
}

/// An instance at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// By stream, oldest first.
    pub(crate) segments: [Vec<SegmentView>; 2],
    pub(crate) next_seq: u64,
    /// Lines, unfinished ones included.
    pub(crate) lines: u64,
}

impl Instance {
    /// Finds what is there, or makes room for it.
    pub(crate) fn open(root: &Path, name: InstanceName, segment_size: u64) -> io::Result<Self> {
        let dir = root.join(name.service.as_str()).join(name.id.as_str());
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let mut next_seq = 0;
        let chains = [
            Chain::open(&dir, Stream::Stdout, &mut next_seq)?,
            Chain::open(&dir, Stream::Stderr, &mut next_seq)?,
        ];
        let state = State {
            chains,
            next_seq,
            limits: StreamLimits::default(),
            segment_size,
            attached: None,
            write_errors: 0,
            scratch: Vec::new(),
        };
        Ok(Self { name, dir, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run begins to write.
    pub(crate) fn attach(&self, run: RunId, limits: StreamLimits) -> io::Result<()> {
        // A purge may have taken it away.
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let mut state = self.state();
        state.limits = limits;
        state.attached = Some(run);
        let State { chains, next_seq, scratch, .. } = &mut *state;
        chains.iter_mut().try_for_each(|chain| chain.begin_run(run, next_seq, scratch))
    }

    /// Nothing of this run will come any more.
    pub(crate) fn detach(&self, run: RunId) {
        let mut state = self.state();
        let State { chains, next_seq, scratch, .. } = &mut *state;
        let ended = chains.iter_mut().try_for_each(|chain| chain.end_line(next_seq, scratch));
        state.count(ended.err());
        if state.attached == Some(run) {
            state.attached = None;
            state.scratch = Vec::new();
        }
    }

    /// Moves at most `max` bytes from a pipe to the segment.
    pub(crate) fn take(&self, stream: Stream, pipe: BorrowedFd<'_>, max: usize) -> io::Result<Intake> {
        let mut state = self.state();
        let taken = state.take(stream, pipe, max);
        state.count(taken.as_ref().err());
        taken
    }

    /// Describes what has lain long enough at `now`. When the next is due, if anything is left.
    pub(crate) fn settle(&self, now: Millis) -> Option<Millis> {
        let mut state = self.state();
        let oldest = state.chains.iter().filter_map(|chain| Some(chain.pending()?.since)).min()?;
        if oldest.after(COALESCE) > now {
            return Some(oldest.after(COALESCE));
        }
        let settled = state.complete_all();
        let failed = settled.is_err();
        state.count(settled.err());
        failed.then(|| now.after(Duration::from_secs(1)))
    }

    /// What a reader needs. What has arrived is in it.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut state = self.state();
        // A full disk must not keep anyone from reading: marks stay in memory then.
        let completed = state.complete_all();
        state.count(completed.err());
        Snapshot {
            segments: state.chains.each_ref().map(Chain::view),
            next_seq: state.next_seq,
            lines: state.chains.iter().map(|chain| chain.lines() + u64::from(chain.has_open_line())).sum(),
        }
    }

    pub(crate) fn stats(&self) -> InstanceStats {
        let state = self.state();
        InstanceStats {
            lines: state.chains.iter().map(Chain::lines).sum(),
            bytes: state.chains.iter().map(Chain::bytes).sum(),
            dropped: 0,
            write_errors: state.write_errors,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.state().chains.iter().map(Chain::bytes).sum()
    }

    /// Nothing is kept of it and nothing will come.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.state();
        state.attached.is_none() && state.chains.iter().all(|chain| chain.segments().is_empty())
    }

    /// Erases everything.
    pub(crate) fn purge(&self) -> io::Result<()> {
        let mut state = self.state();
        for chain in &mut state.chains {
            while chain.remove_oldest()? {}
        }
        // What a crash may have left beside the segments.
        match fs::read_dir(&self.dir) {
            Ok(entries) => {
                for entry in entries {
                    fs::remove_file(entry?.path())?;
                }
                fs::File::open(&self.dir)?.sync_all()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes the empty directory of an instance that is over.
    pub(crate) fn forget(&self) {
        let _ = fs::remove_dir(&self.dir);
        let _ = self.dir.parent().map(fs::remove_dir);
    }

    /// Closes files that were not used since `before`.
    pub(crate) fn rest(&self, before: Millis) {
        let mut state = self.state();
        for chain in &mut state.chains {
            chain.rest(before);
        }
        if state.chains.iter().all(|chain| chain.pending().is_none()) {
            state.scratch = Vec::new();
        }
    }

    /// Lets go what is too old or too much.
    pub(crate) fn expire(&self, now: WallMillis) -> io::Result<()> {
        let mut state = self.state();
        let limits = state.limits;
        let horizon = WallMillis(now.0.saturating_sub(millis(limits.retention)));
        for index in 0..2 {
            state.close_if_old(index, horizon)?;
            while state.oldest_closed(index).is_some_and(|wall| wall < horizon) {
                state.chains[index].remove_oldest()?;
            }
        }
        state.bound()
    }

    /// When the last line of the oldest closed segment arrived.
    pub(crate) fn oldest_closed(&self) -> Option<WallMillis> {
        let state = self.state();
        (0..2).filter_map(|index| state.oldest_closed(index)).min()
    }

    /// Erases the oldest closed segment. Whether there was one.
    pub(crate) fn remove_oldest_closed(&self) -> io::Result<bool> {
        self.state().remove_oldest_closed()
    }
}

impl State {
    fn count<E>(&mut self, error: Option<E>) {
        self.write_errors += u64::from(error.is_some());
    }

    fn take(&mut self, stream: Stream, pipe: BorrowedFd<'_>, max: usize) -> io::Result<Intake> {
        let Self { chains, next_seq, scratch, segment_size, .. } = self;
        let [out, err] = chains;
        let (chain, other) = if stream == Stream::Stdout { (out, err) } else { (err, out) };
        // What the other stream wrote before comes first.
        other.complete(next_seq, scratch)?;
        let old = chain.pending().is_some_and(|pending| pending.since.after(COALESCE) <= clock::now());
        if old || chain.block_is_full() {
            chain.complete(next_seq, scratch)?;
        }
        if chain.segments().back().is_some_and(|segment| segment.len >= *segment_size) {
            chain.roll(next_seq, scratch)?;
            self.bound()?;
        }
        self.chains[stream as usize].take(pipe, max)
    }

    /// Lets go the oldest closed segments while there is too much.
    fn bound(&mut self) -> io::Result<()> {
        while self.chains.iter().map(Chain::bytes).sum::<u64>() > self.limits.max_size {
            if !self.remove_oldest_closed()? {
                break;
            }
        }
        Ok(())
    }

    fn complete_all(&mut self) -> io::Result<()> {
        let Self { chains, next_seq, scratch, .. } = self;
        chains.sort_order().into_iter().try_for_each(|index| chains[index].complete(next_seq, scratch))?;
        chains.iter_mut().try_for_each(Chain::write_marks)
    }

    /// A segment that grows is never erased; so one whose lines are all too old is closed first.
    fn close_if_old(&mut self, index: usize, horizon: WallMillis) -> io::Result<()> {
        let Self { chains, next_seq, scratch, attached, .. } = self;
        let old =
            chains[index].segments().back().is_some_and(|last| last.last_wall() < horizon && last.len > 0);
        if attached.is_some() && old { chains[index].roll(next_seq, scratch) } else { Ok(()) }
    }

    fn oldest_closed(&self, index: usize) -> Option<WallMillis> {
        let segments = self.chains[index].segments();
        let grows = usize::from(self.attached.is_some());
        (segments.len() > grows).then(|| segments.front().map(|segment| segment.last_wall()))?
    }

    fn remove_oldest_closed(&mut self) -> io::Result<bool> {
        let oldest = (0..2).filter_map(|index| Some((self.oldest_closed(index)?, index))).min();
        match oldest {
            Some((_, index)) => self.chains[index].remove_oldest(),
            None => Ok(false),
        }
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
