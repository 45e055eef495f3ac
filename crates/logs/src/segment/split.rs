//! Where a segment can be split, so that its beginning is closed or let go and its end goes on in another.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::{
    Segment,
    cut::Cutter,
    mark::{Context, HEADER_LEN, MARK_LEN, Mark},
};
use crate::level::Tracebacks;

/// A place between two lines of a segment.
#[derive(Debug)]
pub(super) struct Split {
    /// Its offset.
    pub(super) at: u32,
    /// What holds there.
    pub(super) context: Context,
    /// How many marks describe only what is before it, and the last of them.
    pub(super) marks: u32,
    pub(super) before: Mark,
    /// Marks for what is after it, with offsets and lines counted from it.
    pub(super) after: Vec<Mark>,
}

/// After the last line that has ended.
pub(super) fn at_end(segment: &Segment) -> Split {
    let last = segment.last;
    Split { at: last.done, context: last.context, marks: segment.marks, before: last, after: Vec::new() }
}

/// At the first line's end that leaves at most `keep` bytes after it. All marks of `segment` have to be in the
/// file `marks`.
pub(super) fn before_newest(segment: &Segment, data: &File, marks: &File, keep: u64) -> io::Result<Split> {
    let target = u32::try_from(segment.len.saturating_sub(keep)).unwrap_or(u32::MAX);
    let all = read_all(marks, segment.marks)?;
    let Some(index) = all.iter().position(|mark| mark.done > target) else { return Ok(at_end(segment)) };
    let begins = Mark { context: segment.begins, ..Mark::default() };
    let before = if index > 0 { all[index - 1] } else { begins };
    let Passed { at, lines, context } = pass_lines(data, before, all[index], target)?;
    let from_here = |mark: &Mark| Mark {
        done: mark.done - at,
        lines: mark.lines.saturating_sub(before.lines + lines),
        ..*mark
    };
    let mut after: Vec<Mark> = all[index..].iter().filter(|mark| mark.done > at).map(from_here).collect();
    if all[index].done > at {
        after[0].seq += u64::from(lines);
    }
    Ok(Split { at, context, marks: index as u32, before, after })
}

struct Passed {
    at: u32,
    lines: u32,
    context: Context,
}

/// Passes the lines between two marks until `target`, or all of them.
fn pass_lines(data: &File, before: Mark, mark: Mark, target: u32) -> io::Result<Passed> {
    let mut text = vec![0; (mark.done - before.done) as usize];
    data.read_exact_at(&mut text, u64::from(before.done))?;
    let mut cutter = Cutter::new(&text, before.context.continues);
    let mut tracebacks = Tracebacks::new(before.context.traceback);
    let mut lines = 0;
    while before.done + (cutter.rest() as u32) < target {
        let Some((range, _)) = cutter.next() else {
            return Ok(Passed {
                at: mark.done,
                lines: mark.lines.saturating_sub(before.lines),
                context: mark.context,
            });
        };
        tracebacks.follow(&text[range]);
        lines += 1;
    }
    let context = Context { continues: cutter.continues(), traceback: tracebacks.inside() };
    Ok(Passed { at: before.done + cutter.rest() as u32, lines, context })
}

fn read_all(marks: &File, count: u32) -> io::Result<Vec<Mark>> {
    let mut records = vec![0; count as usize * MARK_LEN];
    marks.read_exact_at(&mut records, HEADER_LEN as u64)?;
    let decoded: Option<Vec<Mark>> = records.chunks_exact(MARK_LEN).map(Mark::decode).collect();
    decoded.ok_or_else(super::read::damaged)
}

#[cfg(test)]
mod tests;
