use proptest::prelude::*;

use super::*;

const OUT: Stream = Stream::Stdout;

/// What is kept of pieces that come one after another in one window, and the rate after it.
fn thinned(rate: &mut Rate, pieces: &[&[u8]], limit: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let count = match rate.step(OUT, rest, limit) {
                Step::Keep(count) => {
                    assert_eq!(rate.keep(OUT, &rest[..count], limit), count);
                    kept.extend_from_slice(&rest[..count]);
                    count
                }
                Step::LeaveOut(count) => {
                    rate.leave_out(OUT, &rest[..count]);
                    count
                }
            };
            rest = &rest[count..];
        }
    }
    kept
}

fn fresh() -> Rate {
    Rate::new(Millis(0), [false; 2])
}

#[test]
fn whole_lines_are_kept_up_to_the_limit_and_the_rest_is_counted() {
    let mut rate = fresh();
    assert_eq!(thinned(&mut rate, &[b"a\nbb", b"b\nccc\nd", b"d\n"], 2), b"a\nbbb\n");
    assert_eq!(rate.left_out(OUT), Some(LeftOut { lines: 2, bytes: 7 }));
    assert_eq!(rate.note_at(), Some(Millis(1000)));
    rate.turn(Millis(1000), 2);
    rate.noted(OUT);
    assert!(rate.is_calm());
    assert_eq!(thinned(&mut rate, &[b"e\n"], 2), b"e\n");
}

#[test]
fn a_line_that_began_to_be_left_out_is_left_out_to_its_end() {
    let mut rate = fresh();
    assert_eq!(thinned(&mut rate, &[b"a\nb"], 1), b"a\n");
    rate.turn(Millis(1000), 1);
    assert_eq!(thinned(&mut rate, &[b"b", b"b\nc\n"], 1), b"c\n");
    assert_eq!(rate.left_out(OUT), Some(LeftOut { lines: 1, bytes: 4 }));
}

// faults: G1
#[test]
fn a_long_line_counts_as_many() {
    let mut rate = fresh();
    let long = [vec![b'x'; 10 * MAX_LINE], b"\n".to_vec()].concat();
    assert_eq!(thinned(&mut rate, &[&long, b"next\n"], 5).len(), long.len(), "whole");
    rate.turn(Millis(1000), 5);
    assert_eq!(thinned(&mut rate, &[b"still too much\n"], 5), b"");
    rate.turn(Millis(3000), 5);
    assert_eq!(thinned(&mut rate, &[b"paid\n"], 5), b"paid\n");
}

#[test]
fn notes_are_for_people() {
    let left_out = |lines, bytes| LeftOut { lines, bytes };
    assert_eq!(
        left_out(1234, 57_600).note(Some(1000)),
        "1234 lines (56 KiB) left out: over log_rate_limit = 1000/s"
    );
    assert_eq!(left_out(1, 10).note(Some(1)), "1 line (10 B) left out: over log_rate_limit = 1/s");
}

proptest! {
    #[test]
    fn nothing_depends_on_how_the_bytes_come(
        text in "([ab]{0,3}\n){0,20}[ab]{0,3}",
        cuts in prop::collection::vec(0_usize..100, 0..8),
        limit in 0_u64..12,
    ) {
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
        let (mut one, mut other) = (fresh(), fresh());
        let kept = thinned(&mut one, &[text.as_bytes()], limit);
        prop_assert_eq!(&kept, &thinned(&mut other, &pieces, limit));
        prop_assert_eq!(one.left_out(OUT), other.left_out(OUT));
        let lines = text.split_inclusive('\n').count() as u64;
        let left_out = one.left_out(OUT).unwrap_or_default();
        prop_assert_eq!(left_out.lines, lines.saturating_sub(limit));
        prop_assert_eq!(left_out.bytes as usize + kept.len(), text.len());
    }
}
