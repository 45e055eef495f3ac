//! The segments of one stream, the last of which grows.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    os::{fd::BorrowedFd, unix::fs::FileExt},
    path::{Path, PathBuf},
};

use tenement_core::{
    slot::RunId,
    time::{Millis, WallMillis},
};
use tenement_runtime::clock;

use super::{
    Segment, data_path,
    intake::{Intake, Mover},
    mark::{Context, Header, MARK_LEN, Mark},
    mark_offset, marks_path, open_file,
    read::SegmentView,
    recover,
    tally::tally,
};
use crate::line::Stream;

/// Bytes that arrive together get one time and one mark, up to about so many.
pub(crate) const BLOCK: u64 = 256 * 1024;

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
    dir: PathBuf,
    stream: Stream,
    segments: VecDeque<Segment>,
    /// Where the stream goes on when there is no segment.
    next_base: u64,
    run: RunId,
    mover: Mover,
    pending: Option<Pending>,
    /// Marks of the last segment that are not in its file yet.
    unwritten: Vec<Mark>,
    /// The last segment's files, while it is being written.
    files: Option<Files>,
    used: Millis,
}

#[derive(Debug)]
struct Files {
    data: File,
    marks: File,
}

impl Chain {
    /// Finds what is there. Advances `next_seq` over every line found.
    pub(crate) fn open(dir: &Path, stream: Stream, next_seq: &mut u64) -> io::Result<Self> {
        let segments = recover::segments(dir, stream, next_seq)?;
        let next_base = segments.back().map_or(0, |last| last.base + last.len);
        let run = segments.back().map_or_else(RunId::default, |last| last.run);
        Ok(Self {
            dir: dir.to_owned(),
            stream,
            segments,
            next_base,
            run,
            mover: Mover::default(),
            pending: None,
            unwritten: Vec::new(),
            files: None,
            used: Millis(0),
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

    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
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
        self.end_line(next_seq, scratch)?;
        self.run = run;
        self.files()?;
        let (Some(files), Some(segment)) = (&self.files, self.segments.back_mut()) else { return Ok(()) };
        segment.run = run;
        files.marks.write_all_at(&segment.header().encode(), 0)
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
            self.used = clock::now();
            let first = Pending { since: self.used, wall: clock::wall(), bytes: 0 };
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
            let unwritten = &mut self.unwritten;
            tally(segment, &files.data, next_seq, pending.wall, scratch, |mark| unwritten.push(mark))?;
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
            };
            *next_seq += 1;
            self.unwritten.push(segment.last);
        }
        self.write_marks()
    }

    /// Puts the marks into their file.
    pub(crate) fn write_marks(&mut self) -> io::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        self.files()?;
        let (Some(files), Some(segment)) = (&self.files, self.segments.back_mut()) else { return Ok(()) };
        let records: Vec<u8> = self.unwritten.iter().flat_map(Mark::encode).collect();
        files.marks.write_all_at(&records, mark_offset(segment.marks))?;
        segment.marks += (records.len() / MARK_LEN) as u32;
        self.unwritten.clear();
        Ok(())
    }

    /// Closes the last segment and goes on in a new one. The beginning of a line moves along.
    pub(crate) fn roll(&mut self, next_seq: &mut u64, scratch: &mut Vec<u8>) -> io::Result<()> {
        self.complete(next_seq, scratch)?;
        self.write_marks()?;
        self.files()?;
        let (Some(files), Some(segment)) = (&self.files, self.segments.back_mut()) else { return Ok(()) };
        if segment.last.done == 0 {
            return Ok(());
        }
        let done = u64::from(segment.last.done);
        let mut moved = vec![0; usize::try_from(segment.open_bytes()).unwrap_or(0)];
        files.data.read_exact_at(&mut moved, done)?;
        let header = Header { context: segment.last.context, begun: clock::wall(), run: self.run };
        let mut next = Segment::new(segment.base + done, header);
        let new = create(&self.dir, self.stream, &next)?;
        new.data.write_all_at(&moved, 0)?;
        // From here on the new segment's name ends the old one; cutting off what moved only saves space.
        let _ = files.data.set_len(done);
        segment.len = done;
        next.len = moved.len() as u64;
        self.segments.push_back(next);
        self.files = Some(new);
        Ok(())
    }

    /// Closes the files when they were not used since `before`.
    pub(crate) fn rest(&mut self, before: Millis) {
        if self.used < before && self.pending.is_none() && self.unwritten.is_empty() {
            self.files = None;
        }
    }

    /// Erases the oldest segment. Whether there was one.
    pub(crate) fn remove_oldest(&mut self) -> io::Result<bool> {
        let Some(oldest) = self.segments.front().copied() else { return Ok(false) };
        let [data, marks] = [data_path, marks_path].map(|path| path(&self.dir, self.stream, oldest.base));
        remove(&data)?;
        remove(&marks)?;
        self.segments.pop_front();
        if self.segments.is_empty() {
            self.next_base = oldest.base + oldest.len;
            self.files = None;
            self.pending = None;
            self.unwritten.clear();
        }
        Ok(true)
    }

    /// What a reader needs, without holding anything up.
    pub(crate) fn view(&self) -> Vec<SegmentView> {
        let last = self.segments.len().saturating_sub(1);
        let view = |(index, segment): (usize, &Segment)| {
            let unwritten = if index == last { self.unwritten.clone() } else { Vec::new() };
            SegmentView::new(&self.dir, self.stream, *segment, unwritten)
        };
        self.segments.iter().enumerate().map(view).collect()
    }

    /// Opens the files of the last segment; begins the first one when there is none.
    fn files(&mut self) -> io::Result<()> {
        if self.files.is_some() {
            return Ok(());
        }
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

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
