//! Append-only files of raw bytes, one chain per instance and stream.
//!
//! ```text
//! {service}/{id}/stdout-00000000000000000000.log     raw bytes as the application wrote them
//!                stdout-00000000000000000000.marks   Header, Mark, Mark, …
//!                stdout-00000000000008388591.log     named by the offset of its first byte in the stream
//!
//!   pipe ─► last segment, grows ── full, or old ──► closed ── packer ──► .zst, .idx, see `pack`
//! ```
//!
//! Only the last segment of a chain grows. It is closed at a line's end: the beginning of the next line, when
//! it is already there, is copied to the new segment, whose name then says where the old one ends. So a crash
//! in the middle of it neither loses nor doubles a byte.

mod block;
mod chain;
mod cursor;
mod cut;
mod damage;
mod forward;
mod intake;
mod mark;
mod pack;
mod read;
mod recover;
mod split;
mod tally;
mod torn;

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

pub(crate) use block::{Block, Known, LineRef, Text};
pub(crate) use chain::{BLOCK, Chain, ToPack, Unsynced};
pub(crate) use cursor::Cursor;
pub(crate) use cut::MAX_LINE;
pub use damage::damage_met;
pub(crate) use forward::Onward;
pub(crate) use intake::Intake;
use pack::{Packed, Summary};
pub(crate) use pack::{pack, reindex};
pub(crate) use read::{SegmentView, is_stale};
pub(crate) use recover::{streams_in, sweep};

use tenement_core::{slot::RunId, time::WallMillis};

use crate::{blocks::FileId, line::Stream, zst::damaged};
pub(crate) use mark::MARK_LEN;
use mark::{Context, HEADER_LEN, Header, Mark};

/// What is kept in memory of a segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Offset of its first byte in the stream.
    pub(crate) base: u64,
    /// Its bytes.
    pub(crate) len: u64,
    /// What holds at its beginning.
    begins: Context,
    /// When it was begun.
    begun: WallMillis,
    /// When its last bytes arrived.
    written: WallMillis,
    /// The run that wrote last.
    run: RunId,
    /// Marks in its file.
    marks: u32,
    /// Marks after those: not in the file yet, or never because the disk was full.
    unwritten: Vec<Mark>,
    /// What the last mark says.
    last: Mark,
    /// That it is packed. Then all marks are in that file.
    packed: Option<Form>,
    /// It is damaged: it can't be packed or indexed.
    left: bool,
}

/// A segment's packed form.
#[derive(Clone, Debug)]
struct Form {
    /// Bytes of its files.
    size: u64,
    /// The earliest and the latest time of a line.
    from: WallMillis,
    to: WallMillis,
    /// The place after that of its last line.
    end_seq: u64,
    /// There is an index, as far as anybody knows.
    indexed: Arc<AtomicBool>,
    /// Its packed file and its index, for what is remembered of them.
    files: [FileId; 2],
}

impl Form {
    fn new(packed: &Packed, indexed: bool) -> Self {
        let Summary { from, to, end_seq, .. } = packed.summary;
        Self {
            size: packed.size,
            from,
            to,
            end_seq,
            indexed: Arc::new(AtomicBool::new(indexed)),
            files: [FileId::new(), FileId::new()],
        }
    }
}

impl Segment {
    fn new(base: u64, header: Header) -> Self {
        let Header { context: begins, begun, run } = header;
        let last = Mark { wall: begun, context: begins, ..Mark::default() };
        Self {
            base,
            len: 0,
            begins,
            begun,
            written: begun,
            run,
            marks: 0,
            unwritten: Vec::new(),
            last,
            packed: None,
            left: false,
        }
    }

    /// Lines that have ended.
    pub(crate) fn lines(&self) -> u64 {
        u64::from(self.last.lines)
    }

    /// Bytes of its files.
    pub(crate) fn size(&self) -> u64 {
        if let Some(packed) = &self.packed {
            return packed.size;
        }
        self.len + mark_offset(self.marks) + (self.unwritten.len() * MARK_LEN) as u64
    }

    /// A packed segment as its file describes it.
    fn of(base: u64, packed: &Packed, indexed: bool) -> Self {
        let Summary { header, last, len, written, marks, .. } = packed.summary;
        let form = Form::new(packed, indexed);
        Self { len, written, marks, last, packed: Some(form), ..Self::new(base, header) }
    }

    /// Its index can't be used.
    fn no_index(&self) {
        if let Some(packed) = &self.packed {
            packed.indexed.store(false, Ordering::Relaxed);
        }
    }

    /// Bytes of lines that no index has.
    fn unindexed(&self) -> u64 {
        let indexed = self.packed.as_ref().is_some_and(|packed| packed.indexed.load(Ordering::Relaxed));
        if indexed || self.left { 0 } else { self.len }
    }

    /// Bytes of a line that has not ended.
    fn open_bytes(&self) -> u64 {
        self.len.saturating_sub(u64::from(self.last.done))
    }

    /// When its last line arrived.
    pub(crate) fn last_wall(&self) -> WallMillis {
        self.last.wall
    }

    fn header(&self) -> Header {
        Header { context: self.begins, begun: self.begun, run: self.run }
    }
}

fn data_path(dir: &Path, stream: Stream, base: u64) -> PathBuf {
    dir.join(format!("{}-{base:020}.log", stream.as_str()))
}

fn marks_path(dir: &Path, stream: Stream, base: u64) -> PathBuf {
    dir.join(format!("{}-{base:020}.marks", stream.as_str()))
}

fn mark_offset(index: u32) -> u64 {
    HEADER_LEN as u64 + u64::from(index) * MARK_LEN as u64
}

/// Nobody waits for whoever may have been put in place of a file of ours, and no link is followed.
const PLAIN: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK;

/// Opens a file of ours for reading and writing, creating it when missing. Not with `O_APPEND`, which
/// splice(2) refuses.
fn open_file(path: &Path, truncate: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    plain(options.read(true).write(true).create(true).truncate(truncate).mode(0o600), path)
}

/// Opens a file of ours for reading.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    plain(OpenOptions::new().read(true), path)
}

fn plain(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.custom_flags(PLAIN).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(damaged("something else is in the place of a file"))
    }
}
