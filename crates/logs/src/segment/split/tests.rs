use std::{fs::File, os::unix::fs::FileExt};

use tenement_core::{slot::RunId, time::WallMillis};

use super::{Split, before_newest};
use crate::{
    level::Tracebacks,
    segment::{
        Segment,
        chain::write_marks,
        cut::{Cutter, MAX_LINE},
        mark::{Context, Header},
        open_file,
        tally::tally,
    },
};

/// A segment with its files, described in as many goes as there are pieces.
fn segment(dir: &std::path::Path, pieces: &[&[u8]]) -> (Segment, File, File) {
    let [data, marks] = ["data", "marks"].map(|name| open_file(&dir.join(name), true).unwrap());
    let header = Header { context: Context::default(), begun: WallMillis(1), run: RunId(1) };
    let mut segment = Segment::new(0, header);
    let mut next_seq = 100;
    for (index, piece) in pieces.iter().enumerate() {
        data.write_all_at(piece, segment.len).unwrap();
        segment.len += piece.len() as u64;
        tally(&mut segment, &data, &mut next_seq, WallMillis(index as u64), &mut Vec::new()).unwrap();
    }
    write_marks(&marks, &mut segment).unwrap();
    (segment, data, marks)
}

/// Where lines end, and what holds there.
fn ends(text: &[u8]) -> Vec<(u32, Context)> {
    let (mut cutter, mut tracebacks) = (Cutter::new(text, false), Tracebacks::default());
    let mut ends = Vec::new();
    while let Some((range, _)) = cutter.next() {
        tracebacks.follow(&text[range]);
        let context = Context { continues: cutter.continues(), traceback: tracebacks.inside() };
        ends.push((cutter.rest() as u32, context));
    }
    ends
}

#[test]
fn a_split_is_at_the_first_line_that_fits_and_changes_no_line() {
    let traceback = b"Traceback (most recent call last):\n  at\n    x\nKeyError\nafter\n";
    let long = vec![b'x'; 2 * MAX_LINE + 10];
    let pieces: [&[u8]; 6] = [
        b"one\ntwo\n",
        traceback,
        b"Traceback (most recent call last):\n",
        b"  at\n\n",
        &long,
        b"\nend\nopen",
    ];
    let folder = tempfile::tempdir().unwrap();
    let (segment, data, marks) = segment(folder.path(), &pieces);
    let text = pieces.concat();
    let ends = ends(&text);
    let last = ends.last().unwrap().0;
    let near_long = text.len() - long.len() - 10..text.len() - long.len() + 10;
    for keep in
        (0..100).chain(MAX_LINE - 10..MAX_LINE + 30).chain(near_long).chain(text.len() - 120..text.len())
    {
        let Split { at, context, after, .. } = before_newest(&segment, &data, &marks, keep as u64).unwrap();
        let target = (text.len() - keep) as u32;
        let index = ends.iter().position(|(end, _)| *end >= target).unwrap_or(ends.len() - 1);
        assert_eq!((at, context), ends[index], "{keep}");
        let left = (ends.len() - 1 - index) as u32;
        assert_eq!(after.last().map_or((0, 0), |mark| (mark.lines, mark.done)), (left, last - at), "{keep}");
        let mut before = 0;
        for mark in &after {
            assert_eq!(mark.seq, 100 + u64::from(index as u32 + 1 + before), "{keep}");
            before = mark.lines;
        }
    }
}
