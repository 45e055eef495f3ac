//! What one instance writes: two streams, and one order over both.

mod limited;
mod peek;
mod rate;
mod state;

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
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
    retention::StreamLimits,
    segment::{Chain, Intake, Onward, SegmentView, ToPack, Unsynced, pack, reindex},
    store::InstanceStats,
};
pub(crate) use limited::{Taken, Turn};
pub(crate) use peek::Peeker;
use state::State;

/// Lines that arrive within this time of each other get one time and one mark.
pub(crate) const COALESCE: Duration = Duration::from_millis(10);
/// The same while somebody follows, who would not wait so long.
pub(crate) const FOLLOWED: Duration = Duration::from_millis(4);
/// After a silence a mark comes so soon: what is written in one go is written by then.
const FIRST: Duration = Duration::from_millis(1);

/// When what could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(1);

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
    /// The thread that takes lines in has something to do for it.
    remembered: AtomicBool,
    /// Held while a segment is packed.
    packing: Mutex<()>,
    /// It is known that lines of it may not be synced.
    unsynced: AtomicBool,
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
            remembered: AtomicBool::new(false),
            packing: Mutex::default(),
            unsynced: AtomicBool::new(false),
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
        state.rate = None;
        state.run_seq = state.next_seq;
        state.last_run = Some(run);
        Ok(())
    }

    /// The same of a run that began in an earlier store: the lines of before are its own as well.
    pub(crate) fn adopt(&self, run: RunId) -> io::Result<()> {
        let (begun, goes_on) = (self.run_seq(), self.written_by() == run);
        self.attach(run)?;
        if goes_on {
            self.state().run_seq = begun;
        }
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

    /// The run that wrote last, as far as the segments know.
    pub(crate) fn written_by(&self) -> RunId {
        self.state().chains[0].run()
    }

    /// Nothing of this run will come any more.
    pub(crate) fn detach(&self, run: RunId) {
        let mut state = self.state();
        if state.attached.is_some_and(|attached| attached != run) {
            // The line that is open is the next run's.
            return;
        }
        let State { chains, next_seq, scratch, .. } = &mut *state;
        let ended = chains.iter_mut().try_for_each(|chain| chain.end_line(next_seq, scratch));
        let ended = ended.and_then(|()| state.note_all()).and_then(|()| state.bound());
        state.count(ended.err());
        state.rate = None;
        if state.attached == Some(run) {
            state.attached = None;
            state.scratch = Vec::new();
            state.chains.iter_mut().for_each(Chain::close);
        }
    }

    /// Moves bytes from a pipe to the segment, and lets go what is too much then.
    pub(crate) fn take(&self, turn: &mut Turn<'_>) -> io::Result<Taken> {
        let mut state = self.state();
        let taken = state.take(turn);
        state.count(taken.as_ref().err());
        if let Ok(Taken { intake: Intake::Bytes(_), .. }) = taken {
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

    /// Does what is due at `now`: describes what has lain long enough, notes what was left out, closes what is
    /// `segment_size` by half and grows no more. When the next is due, if anything is.
    pub(crate) fn settle(&self, now: Millis, segment_size: u64, window: Duration) -> Option<Millis> {
        let mut state = self.state();
        let described = describe(&mut state, now, window);
        let noted = state.note_if_due(now);
        let closed = state.close_quiet(now, segment_size);
        state.leave_tidy();
        [described, noted, closed].into_iter().flatten().min()
    }

    /// Says what is missing, without waiting for more of it.
    pub(crate) fn note(&self) {
        let mut state = self.state();
        let noted = state.note_all();
        state.count(noted.err());
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

    /// When its oldest line arrived.
    pub(crate) fn oldest(&self) -> Option<WallMillis> {
        let segments = self.snapshot().segments;
        let first = |views| Onward::new(views, 0).ok()?.peek().map(|block| block.wall);
        segments.into_iter().filter_map(first).min()
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
            lines_left_out: state.lines_left_out,
            bytes_left_out: state.bytes_left_out,
            unindexed: state.chains.iter().map(Chain::unindexed).sum(),
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

    /// Nothing is packed while this is held.
    pub(crate) fn unpacked(&self) -> MutexGuard<'_, ()> {
        self.packing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something is being packed.
    pub(crate) fn is_packing(&self) -> bool {
        self.packing.try_lock().is_err()
    }

    /// Packs the oldest closed segment that is not packed, or makes an index that is missing. Whether there was one.
    pub(crate) fn pack_one(&self) -> io::Result<bool> {
        let _alone = self.unpacked();
        let Some(ToPack { stream, base, view, is_packed }) = self.state().to_pack() else { return Ok(false) };
        let done = if is_packed { reindex(view).map(|()| None) } else { pack(view).map(Some) };
        match done {
            Ok(None) => self.state().chain(stream).indexed(base),
            Ok(Some(packed)) => self.state().chain(stream).packed(base, &packed)?,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::error!(instance = %self.name, %error, "a segment of a log is damaged and stays as it is");
                self.state().chain(stream).leave(base);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Whether it is new that lines of it may not be synced.
    pub(crate) fn is_new_to_sync(&self) -> bool {
        !self.unsynced.swap(true, Ordering::Relaxed)
    }

    /// Syncs its growing segments. Whether it is to be called again though nothing more comes.
    pub(crate) fn sync(&self) -> bool {
        self.unsynced.store(false, Ordering::Relaxed);
        let due = self.state().chains.each_mut().map(Chain::sync_due);
        let synced = due.iter().flatten().try_for_each(Unsynced::sync);
        if let Err(error) = &synced {
            tracing::debug!(instance = %self.name, %error, "a log was not synced");
        }
        let again = due.iter().flatten().any(Unsynced::is_new);
        again && self.is_new_to_sync()
    }

    /// Whether there is something to pack.
    pub(crate) fn has_to_pack(&self) -> bool {
        self.state().to_pack().is_some()
    }

    /// Whether a segment was closed since this was asked.
    pub(crate) fn has_closed(&self) -> bool {
        let mut state = self.state();
        let closed = state.chains.iter().map(Chain::closings).sum();
        std::mem::replace(&mut state.closings_told, closed) != closed
    }

    /// Throws all indexes away, so that they are made anew.
    pub(crate) fn forget_indexes(&self) -> io::Result<()> {
        self.state().chains.iter().try_for_each(Chain::forget_indexes)
    }

    /// Erases everything. [`Self::unpacked`] has to be held.
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

    /// Other limits are in force from now on.
    pub(crate) fn set_limits(&self, limits: StreamLimits) {
        self.state().limits = limits;
    }

    /// Closes segments that have grown for long enough, or to which nothing comes any more.
    pub(crate) fn close_segments(&self, now: Millis, wall: WallMillis, segment_size: u64) {
        self.tidily(|state| {
            // What failed is counted, and tried again when the next chores are done.
            let _ = state.close_old(wall);
            state.close_quiet(now, segment_size);
        });
    }

    /// Lets go its oldest segment that is closed. How many bytes that were, if there was one.
    pub(crate) fn drop_closed(&self) -> io::Result<Option<u64>> {
        self.tidily(State::drop_closed)
    }

    /// Whether it is new to those that remember it: it is remembered from now on.
    pub(crate) fn remember(&self) -> bool {
        !self.remembered.swap(true, Ordering::Relaxed)
    }

    /// It is not remembered any more.
    pub(crate) fn unremember(&self) {
        self.remembered.store(false, Ordering::Relaxed);
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
        state.leave_tidy();
        done
    }
}

/// Describes what has lain long enough. When the next is due.
fn describe(state: &mut State, now: Millis, window: Duration) -> Option<Millis> {
    let due = state.due(window)?;
    if due > now {
        return Some(due);
    }
    let settled = state.complete_all();
    let failed = settled.is_err();
    state.count(settled.err());
    failed.then(|| now.after(AGAIN))
}
