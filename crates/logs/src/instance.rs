//! What one instance writes: two streams, and one order over both.

mod state;

use std::{
    fs::{self, DirBuilder},
    io,
    os::{fd::BorrowedFd, unix::fs::DirBuilderExt},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tenement_core::{
    name::InstanceName,
    slot::RunId,
    time::{Millis, WallMillis},
};

use crate::{
    follow::Recent,
    line::Stream,
    retention::StreamLimits,
    segment::{Chain, Intake, SegmentView},
    store::InstanceStats,
};
use state::State;

/// Lines that arrive within this time of each other get one time and one mark.
pub(crate) const COALESCE: Duration = Duration::from_millis(10);
/// The same while somebody follows, who would not wait so long.
pub(crate) const FOLLOWED: Duration = Duration::from_millis(4);
/// After a silence a mark comes so soon: what is written in one go is written by then.
const FIRST: Duration = Duration::from_millis(1);

/// How many there have been.
static OPENED: AtomicU64 = AtomicU64::new(0);

/// The log of one instance, shared by the thread that takes lines in and those that read.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) name: InstanceName,
    /// Tells it from a later one of the same name.
    pub(crate) number: u64,
    dir: PathBuf,
    state: Mutex<State>,
    /// Lines that followers passed over.
    passed_over: AtomicU64,
    recent: Mutex<Recent>,
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
    pub(crate) fn open(root: &Path, name: InstanceName, limits: StreamLimits) -> io::Result<Self> {
        let dir = root.join(name.service.as_str()).join(name.id.as_str());
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let state = State::open(&dir, limits)?;
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            name,
            number,
            dir,
            state: Mutex::new(state),
            passed_over: AtomicU64::new(0),
            recent: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run begins to write.
    pub(crate) fn attach(&self, run: RunId) -> io::Result<()> {
        // A purge may have taken it away.
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let mut state = self.state();
        state.attached = Some(run);
        let State { chains, next_seq, scratch, .. } = &mut *state;
        let begun = chains.each_mut().map(|chain| chain.begin_run(run, next_seq, scratch).err());
        // On a full disk it may run all the same, until its pipe is full.
        begun.into_iter().for_each(|failed| state.count(failed));
        state.run_seq = state.next_seq;
        state.last_run = Some(run);
        Ok(())
    }

    /// Place of the first line of the last run that began here; of all lines, if none did.
    pub(crate) fn run_seq(&self) -> u64 {
        self.state().run_seq
    }

    /// The last run that began here, and the place of its first line.
    pub(crate) fn last_run(&self) -> (Option<RunId>, u64) {
        let state = self.state();
        (state.last_run, state.run_seq)
    }

    /// Nothing of this run will come any more.
    pub(crate) fn detach(&self, run: RunId) {
        let mut state = self.state();
        let State { chains, next_seq, scratch, .. } = &mut *state;
        let ended = chains.iter_mut().try_for_each(|chain| chain.end_line(next_seq, scratch));
        let ended = ended.and_then(|()| state.bound());
        state.count(ended.err());
        if state.attached == Some(run) {
            state.attached = None;
            state.scratch = Vec::new();
            state.chains.iter_mut().for_each(Chain::close);
        }
    }

    /// Moves at most `max` bytes from a pipe to the segment, and lets go what is too much then. A segment that
    /// has `segment_size` bytes is closed before.
    pub(crate) fn take(
        &self,
        stream: Stream,
        pipe: BorrowedFd<'_>,
        max: usize,
        segment_size: u64,
    ) -> io::Result<Intake> {
        let mut state = self.state();
        let taken = state.take(stream, pipe, max, segment_size);
        state.count(taken.as_ref().err());
        if let Ok(Intake::Bytes(_)) = taken {
            // What was taken is safe whatever becomes of this; the next turn tries it again.
            let bounded = state.bound();
            state.count(bounded.err());
        }
        taken
    }

    /// When what has arrived is to be described, if anything has: soon after a silence, else one `window` after
    /// the last time.
    pub(crate) fn due(&self, window: Duration) -> Option<Millis> {
        self.state().due(window)
    }

    /// Describes what has lain long enough at `now`. When the next is due, if anything is left.
    pub(crate) fn settle(&self, now: Millis, window: Duration) -> Option<Millis> {
        let mut state = self.state();
        let due = state.due(window)?;
        if due > now {
            return Some(due);
        }
        let settled = state.complete_all();
        let failed = settled.is_err();
        state.count(settled.err());
        failed.then(|| now.after(Duration::from_secs(1)))
    }

    /// The place of the next line. What has arrived and is not described yet is after it.
    pub(crate) fn next_seq(&self) -> u64 {
        self.state().next_seq
    }

    /// The place of the next line, with all that has arrived before it; and whether the time alone does not say that it
    /// is the first one since.
    pub(crate) fn begins(&self, since: WallMillis) -> (u64, bool) {
        let mut state = self.state();
        let completed = state.complete_all();
        state.count(completed.err());
        let open = state.chains.iter().any(Chain::has_open_line);
        (state.next_seq, open || !state.is_silent_since(since))
    }

    /// Whether no line has arrived since. What has arrived and is not described yet counts.
    pub(crate) fn is_silent_since(&self, since: WallMillis) -> bool {
        let mut state = self.state();
        let completed = state.complete_all();
        state.count(completed.err());
        state.is_silent_since(since)
    }

    /// Whether lines were described since this was asked.
    pub(crate) fn has_news(&self) -> bool {
        let mut state = self.state();
        let next = state.next_seq;
        std::mem::replace(&mut state.told, next) != next
    }

    /// What a reader needs who is content with what is described already, and can be found again after a kill.
    pub(crate) fn described(&self) -> Snapshot {
        let mut state = self.state();
        let written = state.chains.iter_mut().try_for_each(Chain::write_marks);
        state.count(written.err());
        state.snapshot()
    }

    /// The newest lines, while several follow them.
    pub(crate) fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, unless somebody has it.
    pub(crate) fn try_recent(&self) -> Option<MutexGuard<'_, Recent>> {
        self.recent.try_lock().ok()
    }

    /// What a reader needs. What has arrived is in it.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut state = self.state();
        // A full disk must not keep anyone from reading: marks stay in memory then.
        let completed = state.complete_all();
        state.count(completed.err());
        state.snapshot()
    }

    /// Counts lines that a follower did not get.
    pub(crate) fn pass_over(&self, lines: u64) {
        self.passed_over.fetch_add(lines, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> InstanceStats {
        let state = self.state();
        InstanceStats {
            lines: state.chains.iter().map(Chain::lines).sum(),
            bytes: state.bytes(),
            lines_taken: state.next_seq.saturating_sub(state.first_seq),
            bytes_taken: state.taken,
            passed_over: self.passed_over.load(Ordering::Relaxed),
            write_errors: state.write_errors,
        }
    }

    /// Bytes of its files.
    pub(crate) fn bytes(&self) -> u64 {
        self.state().bytes()
    }

    /// There is a run whose pipes are open.
    pub(crate) fn is_attached(&self) -> bool {
        self.state().attached.is_some()
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
        self.tidily(|state| state.expire(now))
    }

    /// Lets go some of its oldest lines when everything is `over` bytes too much. Whether it had any.
    pub(crate) fn let_go(&self, over: u64) -> io::Result<bool> {
        self.tidily(|state| state.let_go(over))
    }

    /// Leaves no file open where nothing will come.
    fn tidily<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let done = work(&mut state);
        if state.attached.is_none() {
            state.chains.iter_mut().for_each(Chain::close);
        }
        done
    }
}
