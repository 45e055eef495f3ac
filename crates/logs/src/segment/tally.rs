//! From bytes of a segment to the marks that describe them.

use std::{fs::File, io, os::unix::fs::FileExt};

use tenement_core::time::WallMillis;

use super::{
    Segment,
    cut::{Cutter, MAX_LINE},
    mark::{Context, Mark},
};
use crate::level::{Tracebacks, may_hold_traceback};

/// Bytes looked at in one go, and so the most that one mark describes.
pub(super) const CHUNK: usize = 512 * 1024;
const _: () = assert!(CHUNK > MAX_LINE + 4, "a chunk shows where a line is cut");

/// Describes what lies after the last mark of `segment` by further marks, which are not written yet. What is
/// left is the beginning of a line.
pub(super) fn tally(
    segment: &mut Segment,
    data: &File,
    next_seq: &mut u64,
    wall: WallMillis,
    scratch: &mut Vec<u8>,
) -> io::Result<()> {
    loop {
        let open = usize::try_from(segment.open_bytes()).unwrap_or(usize::MAX).min(CHUNK);
        if open == 0 {
            return Ok(());
        }
        scratch.resize(open, 0);
        data.read_exact_at(scratch, u64::from(segment.last.done))?;
        let Some(step) = step(scratch, segment.last.context) else { return Ok(()) };
        let mark = Mark {
            done: segment.last.done + step.done,
            lines: segment.last.lines + step.lines,
            seq: *next_seq,
            wall,
            context: step.context,
            note: false,
        };
        *next_seq += u64::from(step.lines);
        segment.last = mark;
        segment.unwritten.push(mark);
    }
}

struct Step {
    done: u32,
    lines: u32,
    context: Context,
}

/// The completed lines at the beginning of `text`; `None` when there is none.
fn step(text: &[u8], before: Context) -> Option<Step> {
    let mut cutter = Cutter::new(text, before.continues);
    let mut tracebacks = Tracebacks::new(before.traceback);
    let mut lines = 0;
    if before.traceback || may_hold_traceback(text) {
        for (range, _) in cutter.by_ref() {
            tracebacks.follow(&text[range]);
            lines += 1;
        }
    } else {
        lines = cutter.by_ref().count();
    }
    let context = Context { continues: cutter.continues(), traceback: tracebacks.inside() };
    // Both fit: a chunk has at most CHUNK bytes.
    (lines > 0).then(|| Step { done: cutter.rest() as u32, lines: lines as u32, context })
}
