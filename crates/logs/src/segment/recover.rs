//! Finds the segments a predecessor left, at whatever point it was killed.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use tenement_core::{slot::RunId, time::WallMillis};

use super::{
    Segment,
    chain::write_marks,
    data_path,
    mark::{Context, HEADER_LEN, Header, MARK_LEN, Mark},
    mark_offset, marks_path, open_file, open_to_read, pack,
    tally::tally,
    torn,
};
use crate::{line::Stream, zst::damaged};

/// The offsets that files of `stream` in `dir` begin at, in ascending order: those of raw segments, or of packed ones.
fn bases(dir: &Path, stream: Stream, suffix: &str) -> io::Result<Vec<u64>> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let base = name
            .to_str()
            .and_then(|name| name.strip_prefix(stream.as_str())?.strip_prefix('-')?.strip_suffix(suffix));
        // What is named otherwise is none of ours.
        let ours =
            base.filter(|base| base.len() == BASE_LEN && base.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(base) = ours.and_then(|base| base.parse::<u64>().ok()) else { continue };
        if !entry.file_type()?.is_file() {
            return Err(damaged("something else is in the place of a segment"));
        }
        bases.push(base);
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Digits of an offset in a name.
const BASE_LEN: usize = 20;
const RAW: &str = ".log";
const PACKED: &str = ".zst";

/// Whether `dir` holds anything an instance wrote.
pub(crate) fn streams_in(dir: &Path) -> io::Result<bool> {
    for (stream, suffix) in Stream::ALL.into_iter().flat_map(|stream| [(stream, RAW), (stream, PACKED)]) {
        if !bases(dir, stream, suffix)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes what a kill may have left in `dir` that belongs to no segment.
pub(crate) fn sweep(dir: &Path) -> io::Result<()> {
    const DESCRIBE: [&str; 2] = ["marks", "idx"];
    let paths: Vec<PathBuf> = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    let has = |path: &Path, suffix: &str| path.extension().is_some_and(|found| found == suffix);
    let segments = paths.iter().filter(|path| has(path, "log") || has(path, "zst"));
    let segments: BTreeSet<_> = segments.map(|path| path.file_stem()).collect();
    for path in &paths {
        let is_alone =
            DESCRIBE.iter().any(|suffix| has(path, suffix)) && !segments.contains(&path.file_stem());
        if is_alone || has(path, "tmp") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// What is there of one stream.
pub(super) struct Found {
    /// Oldest first, each described by marks up to its end.
    pub(super) segments: VecDeque<Segment>,
    /// The place after the last line that a file describes.
    pub(super) end_seq: u64,
    /// The place after the last line, as long as the places are not final.
    next_seq: u64,
}

/// Finds the segments of `stream`. The places of lines that no file describes are not final before [`number`].
///
/// Nothing has to be written for that: on a full disk files stay as they are, and new marks in memory.
pub(super) fn find(dir: &Path, stream: Stream) -> io::Result<Found> {
    let (mut packed, salvaged) = packed(dir, stream)?;
    let mut bases = bases(dir, stream, RAW)?;
    torn::cut_off(dir, stream, &bases)?;
    discard_unborn(dir, stream, &mut bases)?;
    torn::end_at_gap(dir, stream, &mut bases, &salvaged)?;
    let last_packed = packed.keys().next_back().copied();
    bases.extend(packed.keys());
    bases.sort_unstable();
    let mut found = Found { segments: VecDeque::with_capacity(bases.len()), end_seq: 0, next_seq: 0 };
    let (mut next_seq, mut all_described) = (0, true);
    for (index, &base) in bases.iter().enumerate() {
        if let Some((segment, end_seq)) = packed.remove(&base) {
            next_seq = next_seq.max(end_seq);
            found.end_seq = next_seq;
            found.segments.push_back(segment);
            continue;
        }
        let data = open_file(&data_path(dir, stream, base), false)?;
        let end = bases.get(index + 1).map_or(u64::MAX, |next| next - base);
        let before = found.segments.back().map_or_else(Context::default, |before| before.last.context);
        let mut segment = undescribed(base, before, &data, end)?;
        read_marks(&mut segment, dir, stream, all_described, &mut next_seq)?;
        found.end_seq = found.end_seq.max(next_seq);
        let written = segment.written;
        tally(&mut segment, &data, &mut next_seq, written, &mut Vec::new())?;
        if last_packed.is_some_and(|packed| base < packed) {
            found.end_seq = found.end_seq.max(next_seq);
        } else {
            // What comes after lines that need new places needs new ones too.
            all_described &= segment.unwritten.is_empty();
        }
        found.segments.push_back(segment);
    }
    found.next_seq = next_seq;
    Ok(found)
}

/// Gives the lines that no file describes their places, from `next_seq` on, and puts their marks into the files. Before
/// that, `next_seq` has to be after all lines of both streams that are described: another stream's line may have been
/// described after one of these.
pub(super) fn number(
    found: Found,
    dir: &Path,
    stream: Stream,
    next_seq: &mut u64,
) -> io::Result<VecDeque<Segment>> {
    let mut segments = found.segments;
    let raw = segments.iter().rposition(|segment| segment.packed.is_some()).map_or(0, |packed| packed + 1);
    let first = segments.range(raw..).find_map(|segment| segment.unwritten.first()).map(|mark| mark.seq);
    if let Some(first) = first {
        for segment in segments.range_mut(raw..).filter(|segment| !segment.unwritten.is_empty()) {
            segment.unwritten.iter_mut().for_each(|mark| mark.seq = mark.seq - first + *next_seq);
            segment.last = segment.unwritten.last().copied().unwrap_or(segment.last);
        }
        *next_seq += found.next_seq - first;
    }
    for segment in segments.iter_mut().filter(|segment| segment.packed.is_none()) {
        let path = marks_path(dir, stream, segment.base);
        let amended = match open_file(&path, false) {
            Ok(marks) => amend(&marks, segment),
            // It could not be made.
            Err(error) if error.kind() == io::ErrorKind::InvalidData || is_link(&error) => Err(error),
            Err(error) if !path.try_exists()? => Err(error),
            Err(error) => return Err(error),
        };
        if let Err(error) = amended {
            tracing::warn!(file = %path.display(), %error, "marks of a log stay in memory");
        }
    }
    Ok(segments)
}

/// Packed segments by their base, and the place after the last line of each.
type PackedSegments = BTreeMap<u64, (Segment, u64)>;

/// The packed segments of `stream`. Where the raw files of one are still there they go; what can't be read is made
/// raw again, as far as possible: at these bases.
fn packed(dir: &Path, stream: Stream) -> io::Result<(PackedSegments, Vec<u64>)> {
    let (mut found, mut salvaged) = (BTreeMap::new(), Vec::new());
    for base in bases(dir, stream, PACKED)? {
        match pack::find(dir, stream, base) {
            Ok((packed, indexed)) => {
                for path in [data_path, marks_path] {
                    let _ = fs::remove_file(path(dir, stream, base));
                }
                found.insert(base, (Segment::of(base, &packed, indexed), packed.summary.end_seq));
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                if pack::salvage(dir, stream, base, &error)? {
                    salvaged.push(base);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok((found, salvaged))
}

/// A new segment that does not hold yet all of the line that was to move into it is as if it never was.
fn discard_unborn(dir: &Path, stream: Stream, bases: &mut Vec<u64>) -> io::Result<()> {
    if let [.., before, last] = bases[..] {
        let len = |base| fs::metadata(data_path(dir, stream, base)).map(|meta| meta.len());
        if last.saturating_add(len(last)?) < before.saturating_add(len(before)?) {
            fs::remove_file(data_path(dir, stream, last))?;
            let _ = fs::remove_file(marks_path(dir, stream, last));
            bases.pop();
        }
    }
    Ok(())
}

/// A segment that ends at `end` at the latest, as its data alone shows it.
fn undescribed(base: u64, before: Context, data: &File, end: u64) -> io::Result<Segment> {
    let meta = data.metadata()?;
    let written = WallMillis(u64::try_from(meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000).unwrap_or(0));
    let mut segment = Segment::new(base, Header { context: before, begun: written, run: RunId::default() });
    segment.len = meta.len().min(end);
    segment.written = written;
    if u32::try_from(segment.len).is_err() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a log segment of 4 GiB or more is none of ours",
        ));
    }
    if meta.len() > end
        && let Err(error) = data.set_len(end)
    {
        tracing::warn!(%error, "a log segment keeps what moved on to the next");
    }
    Ok(segment)
}

/// Finds the marks of a segment; only its header where they don't count. Advances `next_seq` over the lines described.
fn read_marks(
    segment: &mut Segment,
    dir: &Path,
    stream: Stream,
    they_count: bool,
    next_seq: &mut u64,
) -> io::Result<()> {
    let path = marks_path(dir, stream, segment.base);
    let marks = match open_to_read(&path) {
        Ok(marks) => marks,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // Something else is in their place: they are made anew, in memory.
        Err(error) if error.kind() == io::ErrorKind::InvalidData || is_link(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let Some(header) = header(&marks)? else { return Ok(()) };
    *segment = Segment { len: segment.len, written: segment.written, ..Segment::new(segment.base, header) };
    if !they_count {
        return Ok(());
    }
    let good = whole_marks(&marks, segment.len)?;
    if let Some(&last) = good.last() {
        let before = good.len().checked_sub(2).map_or(0, |index| good[index].lines);
        segment.marks = good.len() as u32;
        segment.last = last;
        *next_seq = (*next_seq).max(last.seq + u64::from(last.lines - before));
    }
    Ok(())
}

fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ELOOP)
}

/// Makes the file `marks` hold all marks of `segment` and no other, and say that it does since this start of the
/// machine.
fn amend(marks: &File, segment: &mut Segment) -> io::Result<()> {
    let header = record(marks)?;
    let is_whole = header.is_some_and(|record| Header::decode(&record).is_some());
    let good = if is_whole { mark_offset(segment.marks) } else { 0 };
    if marks.metadata()?.len() > good {
        marks.set_len(good)?;
    }
    if is_whole && !header.is_some_and(|record| Header::is_of_this_boot(&record)) {
        marks.write_all_at(&segment.header().encode(), 0)?;
    }
    if segment.unwritten.is_empty() { Ok(()) } else { write_marks(marks, segment) }
}

/// The first record.
fn record(marks: &File) -> io::Result<Option<[u8; HEADER_LEN]>> {
    let mut record = [0; HEADER_LEN];
    match marks.read_exact_at(&mut record, 0) {
        Ok(()) => Ok(Some(record)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn header(marks: &File) -> io::Result<Option<Header>> {
    Ok(record(marks)?.and_then(|record| Header::decode(&record)))
}

/// The marks up to the first that is not whole, or describes bytes that the segment does not have.
fn whole_marks(marks: &File, len: u64) -> io::Result<Vec<Mark>> {
    let bytes = marks.metadata()?.len().saturating_sub(HEADER_LEN as u64);
    let mut records = vec![0; usize::try_from(bytes).unwrap_or(0) / MARK_LEN * MARK_LEN];
    marks.read_exact_at(&mut records, HEADER_LEN as u64)?;
    let mut last = Mark::default();
    let follows = |mark: &Mark| {
        let follows = mark.done > last.done && mark.lines > last.lines && u64::from(mark.done) <= len;
        last = *mark;
        follows
    };
    Ok(records.chunks_exact(MARK_LEN).map_while(Mark::decode).take_while(follows).collect())
}
