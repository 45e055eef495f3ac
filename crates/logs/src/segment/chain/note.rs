//! Lines of the daemon's own in a stream.

use std::{
    fs::File,
    io,
    os::{fd::BorrowedFd, unix::fs::FileExt},
};

use tenement_runtime::clock;

use super::{Chain, Context, Mark, Segment, mark_offset, write_marks};

impl Chain {
    /// Puts a line of the daemon's own after what has come. Not within a line of the application.
    pub(crate) fn note(&mut self, text: &str, next_seq: &mut u64, scratch: &mut Vec<u8>) -> io::Result<()> {
        self.complete(next_seq, scratch)?;
        self.write_marks()?;
        self.files()?;
        let (Some(files), Some(segment)) = (&self.files, self.segments.back_mut()) else { return Ok(()) };
        if segment.open_bytes() > 0 {
            return Err(io::Error::other("a note would be within a line"));
        }
        put(segment, &files.data, &files.marks, &format!("{text}\n"), *next_seq)?;
        *next_seq += 1;
        Ok(())
    }

    /// Whether the next byte goes on with a line that is in the segment.
    pub(crate) fn is_within_line(&self) -> bool {
        self.segments.back().is_some_and(|last| last.open_bytes() > 0 || last.last.context.continues)
    }

    /// Writes bytes that came out of the pipe before and could not be written then.
    pub(crate) fn write_carried(&mut self, pipe: BorrowedFd<'_>) -> io::Result<()> {
        if self.mover.carries() { self.take(pipe, 0).map(drop) } else { Ok(()) }
    }
}

/// The mark goes first: one that describes more than is there counts for nothing, but a line without its mark
/// would be the application's.
fn put(segment: &mut Segment, data: &File, marks: &File, line: &str, seq: u64) -> io::Result<()> {
    let before = segment.last;
    let mark = Mark {
        // A segment is closed long before 4 GiB.
        done: u32::try_from(segment.len + line.len() as u64).unwrap_or(u32::MAX),
        lines: before.lines + 1,
        seq,
        wall: clock::wall(),
        context: Context::default(),
        note: true,
    };
    let described = segment.marks;
    segment.unwritten.push(mark);
    let written = write_marks(marks, segment).and_then(|()| data.write_all_at(line.as_bytes(), segment.len));
    if let Err(error) = written {
        // What comes next must not be described by this mark.
        segment.unwritten.clear();
        segment.marks = described;
        let _ = marks.set_len(mark_offset(described));
        let _ = data.set_len(segment.len);
        return Err(error);
    }
    segment.last = mark;
    segment.len += line.len() as u64;
    segment.written = mark.wall;
    Ok(())
}
