//! Finds the segments a predecessor left, at whatever point it was killed.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

use tenement_core::{slot::RunId, time::WallMillis};

use super::{
    Segment,
    chain::write_marks,
    data_path,
    mark::{Context, HEADER_LEN, Header, MARK_LEN, Mark},
    mark_offset, marks_path, open_file, pack,
    tally::tally,
};
use crate::line::Stream;

/// The offsets that files of `stream` in `dir` begin at, in ascending order: those of raw segments, or of packed ones.
fn bases(dir: &Path, stream: Stream, suffix: &str) -> io::Result<Vec<u64>> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let base = name
            .to_str()
            .and_then(|name| name.strip_prefix(stream.as_str())?.strip_prefix('-')?.strip_suffix(suffix));
        bases.extend(base.and_then(|base| base.parse::<u64>().ok()));
    }
    bases.sort_unstable();
    Ok(bases)
}

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

/// The place after the last line of `stream` that a mark describes.
pub(crate) fn marked(dir: &Path, stream: Stream) -> io::Result<u64> {
    for base in bases(dir, stream, RAW)?.into_iter().rev() {
        let Ok(marks) = File::open(marks_path(dir, stream, base)) else { continue };
        let len = fs::metadata(data_path(dir, stream, base))?.len();
        if header(&marks)?.is_some()
            && let Some((count, last)) = last_mark(&marks, len)?
        {
            return Ok(last.seq + lines_of(&marks, count, &last)?);
        }
    }
    let packed = bases(dir, stream, PACKED)?.last().and_then(|&base| pack::find(dir, stream, base).ok());
    Ok(packed.map_or(0, |(packed, _)| packed.summary.end_seq))
}

/// The segments of `stream`, oldest first, each described by marks up to its end. Advances `next_seq` over
/// every line.
///
/// Nothing has to be written for that: on a full disk files stay as they are, and new marks in memory.
pub(super) fn segments(dir: &Path, stream: Stream, next_seq: &mut u64) -> io::Result<VecDeque<Segment>> {
    let mut packed = packed(dir, stream)?;
    let mut bases = bases(dir, stream, RAW)?;
    discard_unborn(dir, stream, &mut bases)?;
    bases.extend(packed.keys());
    bases.sort_unstable();
    let mut found: VecDeque<Segment> = VecDeque::with_capacity(bases.len());
    for (index, &base) in bases.iter().enumerate() {
        if let Some((segment, end_seq)) = packed.remove(&base) {
            *next_seq = (*next_seq).max(end_seq);
            found.push_back(segment);
            continue;
        }
        let data = open_file(&data_path(dir, stream, base), false)?;
        let end = bases.get(index + 1).map_or(u64::MAX, |next| next - base);
        let before = found.back().map_or_else(Context::default, |before| before.last.context);
        let mut segment = undescribed(base, before, &data, end)?;
        describe(&mut segment, dir, stream, &data, next_seq)?;
        found.push_back(segment);
    }
    Ok(found)
}

/// The packed segments of `stream`, and the place after the last line of each. Where the raw files of one are still
/// there they go; what can't be read is made raw again, as far as possible.
fn packed(dir: &Path, stream: Stream) -> io::Result<BTreeMap<u64, (Segment, u64)>> {
    let mut found = BTreeMap::new();
    for base in bases(dir, stream, PACKED)? {
        match pack::find(dir, stream, base) {
            Ok((packed, indexed)) => {
                for path in [data_path, marks_path] {
                    let _ = fs::remove_file(path(dir, stream, base));
                }
                found.insert(base, (Segment::of(base, &packed, indexed), packed.summary.end_seq));
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                pack::salvage(dir, stream, base, &error)?
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
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

/// Finds the marks of a segment, and makes those that are missing.
fn describe(
    segment: &mut Segment,
    dir: &Path,
    stream: Stream,
    data: &File,
    next_seq: &mut u64,
) -> io::Result<()> {
    let path = marks_path(dir, stream, segment.base);
    let marks = match open_file(&path, false) {
        Ok(marks) => Some(marks),
        // It could not be made.
        Err(_) if !path.try_exists()? => None,
        Err(error) => return Err(error),
    };
    let written = segment.written;
    let mut good = 0;
    if let Some(marks) = &marks
        && let Some(header) = header(marks)?
    {
        *segment = Segment { len: segment.len, written, ..Segment::new(segment.base, header) };
        if let Some((count, last)) = last_mark(marks, segment.len)? {
            segment.marks = count;
            *next_seq = (*next_seq).max(last.seq + lines_of(marks, count, &last)?);
            segment.last = last;
        }
        good = mark_offset(segment.marks);
    }
    tally(segment, data, next_seq, written, &mut Vec::new())?;
    if let Some(marks) = marks
        && let Err(error) = amend(&marks, segment, good)
    {
        tracing::warn!(file = %path.display(), %error, "marks of a log stay in memory");
    }
    Ok(())
}

/// Makes the file `marks`, which is `good` for so many bytes, hold all marks of `segment`, and no other.
fn amend(marks: &File, segment: &mut Segment, good: u64) -> io::Result<()> {
    if marks.metadata()?.len() > good {
        marks.set_len(good)?;
    }
    if segment.unwritten.is_empty() { Ok(()) } else { write_marks(marks, segment) }
}

fn header(marks: &File) -> io::Result<Option<Header>> {
    let mut record = [0; HEADER_LEN];
    match marks.read_exact_at(&mut record, 0) {
        Ok(()) => Ok(Header::decode(&record)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn mark_at(marks: &File, index: u32) -> io::Result<Option<Mark>> {
    let mut record = [0; MARK_LEN];
    marks.read_exact_at(&mut record, mark_offset(index))?;
    Ok(Mark::decode(&record))
}

/// The last whole mark that describes bytes the segment has, and how many marks there are up to it.
fn last_mark(marks: &File, len: u64) -> io::Result<Option<(u32, Mark)>> {
    let records = marks.metadata()?.len().saturating_sub(HEADER_LEN as u64) / MARK_LEN as u64;
    let mut count = u32::try_from(records).unwrap_or(u32::MAX);
    while count > 0 {
        if let Some(mark) = mark_at(marks, count - 1)?
            && u64::from(mark.done) <= len
        {
            return Ok(Some((count, mark)));
        }
        count -= 1;
    }
    Ok(None)
}

fn lines_of(marks: &File, count: u32, last: &Mark) -> io::Result<u64> {
    let before = if count > 1 { mark_at(marks, count - 2)?.map_or(0, |mark| mark.lines) } else { 0 };
    Ok(u64::from(last.lines.saturating_sub(before)))
}
