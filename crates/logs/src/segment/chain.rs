//! The segments of one stream, the last of which grows.

mod close;
mod note;
mod sync;

use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    os::{fd::BorrowedFd, unix::fs::FileExt},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use tenement_core::{
    slot::RunId,
    time::{Millis, WallMillis},
};
use tenement_runtime::clock;

use super::{
    Segment, data_path,
    intake::{Intake, Mover},
    mark::{Context, Header, Mark},
    mark_offset, marks_path, open_file,
    pack::{Packed, index_path, pack_path},
    read::SegmentView,
    recover::{self, Found},
    split::{self, Split},
    tally::tally,
};
use crate::{blocks::FileId, line::Stream};
pub(crate) use sync::Unsynced;

/// Bytes that arrive together get one time and one mark, up to about so many.
pub(crate) const BLOCK: u64 = 256 * 1024;

/// A closed segment that is to be packed, or indexed anew.
#[derive(Debug)]
pub(crate) struct ToPack {
    pub(crate) stream: Stream,
    pub(crate) base: u64,
    pub(crate) view: SegmentView,
    /// Only its index is missing.
    pub(crate) is_packed: bool,
}

/// Bytes that lie in the segment and are not described by a mark.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    /// When the first of them arrived, for timers.
    pub(crate) since: Millis,
    wall: WallMillis,
    bytes: u64,
}

/// The segments of one stream of one instance.
#[derive(Debug)]
pub(crate) struct Chain {
    dir: Arc<Path>,
    stream: Stream,
    segments: VecDeque<Segment>,
    /// Bytes of all segments but the last.
    closed: u64,
    /// Where the stream goes on when there is no segment.
    next_base: u64,
    run: RunId,
    mover: Mover,
    pending: Option<Pending>,
    /// The last segment's files, while it is being written.
    files: Option<Files>,
    used: Millis,
    /// How many segments were closed.
    closings: u64,
    /// Of the segment that was to be synced last: where it begins, and its length then.
    synced: Option<(u64, u64)>,
}

#[derive(Debug)]
struct Files {
    data: File,
    marks: File,
}

impl Chain {
    /// Finds what is there of both streams. Advances `next_seq` over every line found.
    pub(crate) fn open_both(dir: &Path, next_seq: &mut u64) -> io::Result<[Self; 2]> {
        let [out, err] = Stream::ALL.map(|stream| recover::find(dir, stream));
        let found = [out?, err?];
        *next_seq = found.iter().map(|one| one.end_seq).max().unwrap_or(0).max(*next_seq);
        let [out, err] = found;
        Ok([Self::open(dir, Stream::Stdout, out, next_seq)?, Self::open(dir, Stream::Stderr, err, next_seq)?])
    }

    fn open(dir: &Path, stream: Stream, found: Found, next_seq: &mut u64) -> io::Result<Self> {
        let segments = recover::number(found, dir, stream, next_seq)?;
        let next_base = segments.back().map_or(0, |last| last.base + last.len);
        let run = segments.back().map_or_else(RunId::default, |last| last.run);
        let closed = segments.iter().rev().skip(1).map(Segment::size).sum();
        Ok(Self {
            dir: dir.into(),
            stream,
            segments,
            closed,
            next_base,
            run,
            mover: Mover::default(),
            pending: None,
            files: None,
            used: clock::now(),
            closings: 0,
            synced: None,
        })
    }

    pub(crate) fn segments(&self) -> &VecDeque<Segment> {
        &self.segments
    }

    pub(crate) fn pending(&self) -> Option<Pending> {
        self.pending
    }

    pub(crate) fn has_open_line(&self) -> bool {
        self.segments.back().is_some_and(|last| last.open_bytes() > 0)
    }

    /// When the last line of the oldest segment arrived.
    pub(crate) fn oldest(&self) -> Option<WallMillis> {
        self.segments.front().map(Segment::last_wall)
    }

    /// Bytes of its files.
    pub(crate) fn bytes(&self) -> u64 {
        self.closed + self.last_size()
    }

    /// The run that wrote last.
    pub(crate) fn run(&self) -> RunId {
        self.run
    }

    /// Bytes of the last segment's files.
    pub(crate) fn last_size(&self) -> u64 {
        self.segments.back().map_or(0, Segment::size)
    }

    /// Lines that have ended.
    pub(crate) fn lines(&self) -> u64 {
        self.segments.iter().map(Segment::lines).sum()
    }

    /// A run begins to write, or goes on after the daemon was away. A line that another run left unfinished
    /// ends here.
    pub(crate) fn begin_run(
        &mut self,
        run: RunId,
        next_seq: &mut u64,
        scratch: &mut Vec<u8>,
    ) -> io::Result<()> {
        if run == self.run {
            return Ok(());
        }
        let ended = self.end_line(next_seq, scratch);
        self.run = run;
        self.files()?;
        let (Some(files), Some(segment)) = (&self.files, self.segments.back_mut()) else { return ended };
        segment.run = run;
        files.marks.write_all_at(&segment.header().encode(), 0).and(ended)
    }

    /// Moves at most `max` bytes from `pipe` to the end of the last segment.
    pub(crate) fn take(&mut self, pipe: BorrowedFd<'_>, max: usize) -> io::Result<Intake> {
        self.files()?;
        let (Some(files), Some(segment)) = (&self.files, self.segments.back_mut()) else {
            return Ok(Intake::Empty);
        };
        let intake = self.mover.take(pipe, &files.data, segment.len, max)?;
        if let Intake::Bytes(bytes) = intake {
            segment.len += bytes;
            segment.written = clock::wall();
            self.used = clock::now();
            let first = Pending { since: self.used, wall: segment.written, bytes: 0 };
            self.pending.get_or_insert(first).bytes += bytes;
        }
        Ok(intake)
    }

    /// Whether the pending bytes should be described before more are taken in.
    pub(crate) fn block_is_full(&self) -> bool {
        self.pending.is_some_and(|pending| pending.bytes >= BLOCK)
    }

    /// Describes the pending bytes by a mark. The mark stays in memory until [`Self::write_marks`].
    pub(crate) fn complete(&mut self, next_seq: &mut u64, scratch: &mut Vec<u8>) -> io::Result<()> {
        let Some(pending) = self.pending else { return Ok(()) };
        self.files()?;
        if let (Some(files), Some(segment)) = (&self.files, self.segments.back_mut()) {
            tally(segment, &files.data, next_seq, pending.wall, scratch)?;
        }
        self.pending = None;
        Ok(())
    }

    /// Ends an unfinished line: nobody is left to finish it.
    pub(crate) fn end_line(&mut self, next_seq: &mut u64, scratch: &mut Vec<u8>) -> io::Result<()> {
        self.complete(next_seq, scratch)?;
        if let Some(segment) = self.segments.back_mut().filter(|segment| segment.open_bytes() > 0) {
            segment.last = Mark {
                // A segment is closed long before 4 GiB.
                done: u32::try_from(segment.len).unwrap_or(u32::MAX),
                lines: segment.last.lines + 1,
                seq: *next_seq,
                wall: segment.last.wall,
                context: Context::default(),
                note: false,
            };
            *next_seq += 1;
            segment.unwritten.push(segment.last);
        }
        self.write_marks()
    }

    /// Puts the marks into their file.
    pub(crate) fn write_marks(&mut self) -> io::Result<()> {
        if self.segments.back().is_none_or(|last| last.unwritten.is_empty()) {
            return Ok(());
        }
        self.files()?;
        let (Some(files), Some(segment)) = (&self.files, self.segments.back_mut()) else { return Ok(()) };
        write_marks(&files.marks, segment)
    }

    /// Closes the last segment and goes on in a new one. The beginning of a line moves along.
    pub(crate) fn roll(&mut self, next_seq: &mut u64, scratch: &mut Vec<u8>) -> io::Result<()> {
        self.complete(next_seq, scratch)?;
        self.write_marks()?;
        self.files()?;
        match self.segments.back().map(split::at_end).filter(|split| split.at > 0) {
            Some(split) => self.go_on(split),
            None => Ok(()),
        }
    }

    /// Erases all but the newest `keep` bytes, about, when there is only one segment: what is left are whole
    /// lines, and the beginning of one. Whether anything could be erased.
    pub(crate) fn trim(&mut self, keep: u64, next_seq: &mut u64, scratch: &mut Vec<u8>) -> io::Result<bool> {
        self.complete(next_seq, scratch)?;
        let is_whole = |only: &Segment| only.last.done == 0 || only.packed.is_some();
        if self.segments.len() != 1 || self.segments.back().is_none_or(is_whole) {
            return Ok(false);
        }
        self.write_marks()?;
        self.files()?;
        let (Some(files), Some(segment)) = (&self.files, self.segments.back()) else { return Ok(false) };
        let split = split::before_newest(segment, &files.data, &files.marks, keep)?;
        self.go_on(split)?;
        self.remove_oldest()
    }

    /// Moves what is after `split` to a new segment.
    fn go_on(&mut self, split: Split) -> io::Result<()> {
        let (Some(files), Some(segment)) = (&self.files, self.segments.back_mut()) else { return Ok(()) };
        let at = u64::from(split.at);
        let mut moved = vec![0; usize::try_from(segment.len - at).unwrap_or(0)];
        files.data.read_exact_at(&mut moved, at)?;
        let header = Header { context: split.context, begun: clock::wall(), run: self.run };
        let mut next = Segment::new(segment.base + at, header);
        let begun = create(&self.dir, self.stream, &next)
            .and_then(|new| new.data.write_all_at(&moved, 0).map(|()| new));
        if begun.is_err() {
            // The old one goes on, and may be closed at another place later: then this name would end it here.
            for path in [data_path, marks_path] {
                let _ = remove(&path(&self.dir, self.stream, next.base));
            }
        }
        let new = begun?;
        // From here on the new segment's name ends the old one; cutting off what moved only saves space.
        let _ = files.data.set_len(at);
        (segment.len, segment.marks, segment.last) = (at, split.marks, split.before);
        self.closed += segment.size();
        next.len = moved.len() as u64;
        next.written = segment.written;
        next.last = split.after.last().copied().unwrap_or(next.last);
        next.unwritten = split.after;
        self.segments.push_back(next);
        self.closings += 1;
        self.files = Some(new);
        self.write_marks()
    }

    /// Closes the files when they were not used since `before`.
    pub(crate) fn rest(&mut self, before: Millis) {
        if self.used < before {
            self.close();
        }
    }

    /// Closes the files until they are needed again.
    pub(crate) fn close(&mut self) {
        self.files = None;
    }

    /// Erases the oldest segment. Whether there was one.
    pub(crate) fn remove_oldest(&mut self) -> io::Result<bool> {
        let Some(oldest) = self.segments.front() else { return Ok(false) };
        let (base, end, size) = (oldest.base, oldest.base + oldest.len, oldest.size());
        self.remove_raw(base)?;
        for path in [pack_path, index_path] {
            remove(&path(&self.dir, self.stream, base))?;
        }
        self.segments.pop_front();
        if self.segments.is_empty() {
            self.next_base = end;
            self.files = None;
            self.pending = None;
        } else {
            self.closed -= size;
        }
        Ok(true)
    }

    fn remove_raw(&self, base: u64) -> io::Result<()> {
        for path in [data_path, marks_path] {
            remove(&path(&self.dir, self.stream, base))?;
        }
        Ok(())
    }

    /// The oldest closed segment that is not packed, or else that has no index.
    pub(crate) fn to_pack(&self) -> Option<ToPack> {
        let closed = || self.segments.range(..self.segments.len().saturating_sub(1));
        let segment = closed().find(|segment| segment.packed.is_none() && !segment.left).or_else(|| {
            self.segments.iter().find(|segment| segment.packed.is_some() && segment.unindexed() > 0)
        })?;
        let view = SegmentView::new(Arc::clone(&self.dir), self.stream, segment.clone());
        Some(ToPack { stream: self.stream, base: segment.base, view, is_packed: segment.packed.is_some() })
    }

    /// A segment was packed: its raw files go. One that was erased meanwhile is erased again.
    pub(crate) fn packed(&mut self, base: u64, packed: &Packed) -> io::Result<()> {
        let Some(segment) = self.segments.iter_mut().find(|segment| segment.base == base) else {
            for path in [pack_path, index_path] {
                remove(&path(&self.dir, self.stream, base))?;
            }
            return Ok(());
        };
        let before = segment.size();
        *segment = Segment::of(base, packed, true);
        self.closed = (self.closed + segment.size()).saturating_sub(before);
        self.remove_raw(base)
    }

    /// The index of a packed segment was made anew.
    pub(crate) fn indexed(&mut self, base: u64) {
        let segment = self.segments.iter_mut().find(|segment| segment.base == base);
        if let Some(packed) = segment.and_then(|segment| segment.packed.as_mut()) {
            packed.files[1] = FileId::new();
            packed.indexed.store(true, Ordering::Relaxed);
        }
    }

    /// A closed segment can't be packed, or not be indexed: it is damaged.
    pub(crate) fn leave(&mut self, base: u64) {
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.base == base) {
            segment.left = true;
        }
    }

    /// How many segments were closed since this was opened.
    pub(crate) fn closings(&self) -> u64 {
        self.closings
    }

    /// Throws all indexes away.
    pub(crate) fn forget_indexes(&self) -> io::Result<()> {
        for segment in &self.segments {
            remove(&index_path(&self.dir, self.stream, segment.base))?;
            segment.no_index();
        }
        Ok(())
    }

    /// Bytes of lines of closed segments that no index has.
    pub(crate) fn unindexed(&self) -> u64 {
        self.segments.iter().rev().skip(1).map(Segment::unindexed).sum()
    }

    /// What a reader needs, without holding anything up.
    pub(crate) fn view(&self) -> Vec<SegmentView> {
        let view = |segment: &Segment| SegmentView::new(Arc::clone(&self.dir), self.stream, segment.clone());
        self.segments.iter().map(view).collect()
    }

    /// Only a raw segment grows. A packed one is the last where a power cut took the one after it.
    fn go_on_after_packed(&mut self) {
        let Some(last) = self.segments.back().filter(|last| last.packed.is_some()) else { return };
        let header = Header { context: last.last.context, begun: clock::wall(), run: self.run };
        let next = Segment::new(last.base + last.len, header);
        self.closed += last.size();
        self.segments.push_back(next);
    }

    /// Opens the files of the last segment; begins the first one when there is none.
    fn files(&mut self) -> io::Result<()> {
        if self.files.is_some() {
            return Ok(());
        }
        self.go_on_after_packed();
        if let Some(last) = self.segments.back() {
            let open = |path: PathBuf| open_file(&path, false);
            self.files = Some(Files {
                data: open(data_path(&self.dir, self.stream, last.base))?,
                marks: open(marks_path(&self.dir, self.stream, last.base))?,
            });
        } else {
            let header = Header { context: Context::default(), begun: clock::wall(), run: self.run };
            let first = Segment::new(self.next_base, header);
            self.files = Some(create(&self.dir, self.stream, &first)?);
            self.segments.push_back(first);
        }
        self.used = clock::now();
        Ok(())
    }
}

fn create(dir: &Path, stream: Stream, segment: &Segment) -> io::Result<Files> {
    let marks = open_file(&marks_path(dir, stream, segment.base), true)?;
    marks.write_all_at(&segment.header().encode(), 0)?;
    let data = open_file(&data_path(dir, stream, segment.base), true)?;
    Ok(Files { data, marks })
}

/// Puts the marks of `segment` that are not in the file `marks` there, and its header before the first of them.
pub(super) fn write_marks(marks: &File, segment: &mut Segment) -> io::Result<()> {
    if segment.marks == 0 {
        marks.write_all_at(&segment.header().encode(), 0)?;
    }
    let records: Vec<u8> = segment.unwritten.iter().flat_map(Mark::encode).collect();
    marks.write_all_at(&records, mark_offset(segment.marks))?;
    segment.marks += segment.unwritten.len() as u32;
    segment.unwritten.clear();
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
