use proptest::prelude::*;

use super::{Cutter, MAX_LINE};
use crate::line::Part;

/// The pieces of `text`, and what is left.
fn pieces(text: &[u8]) -> (Vec<(&[u8], Part)>, &[u8]) {
    let mut cutter = Cutter::new(text, false);
    let found = cutter.by_ref().map(|(range, part)| (&text[range], part)).collect();
    (found, &text[cutter.rest()..])
}

fn lengths(text: &[u8]) -> Vec<usize> {
    pieces(text).0.iter().map(|(piece, _)| piece.len()).collect()
}

// faults: G1
#[test]
fn the_longest_line_is_whole_with_either_end() {
    let longest = "x".repeat(MAX_LINE);
    for end in ["\n", "\r\n"] {
        let text = format!("{longest}{end}y{end}");
        let (found, rest) = pieces(text.as_bytes());
        assert_eq!(found, [(longest.as_bytes(), Part::Whole), (&b"y"[..], Part::Whole)]);
        assert!(rest.is_empty());
    }
    assert_eq!(lengths(format!("{longest}x\n").as_bytes()), [MAX_LINE, 1]);
    assert_eq!(lengths(format!("{longest}\rx\r\n").as_bytes()), [MAX_LINE, 2]);
}

// faults: G1 G2
#[test]
fn no_character_is_cut_in_two() {
    for c in ["é", "€", "😀"] {
        for shift in 0..c.len() {
            let text = "x".repeat(shift) + &c.repeat(3 * MAX_LINE / c.len()) + "\n";
            let (found, _) = pieces(text.as_bytes());
            assert!(found.len() > 2, "{c} {shift}");
            assert!(found.iter().all(|(piece, _)| std::str::from_utf8(piece).is_ok()), "{c} {shift}");
        }
    }
}

// faults: G2
#[test]
fn what_is_no_character_is_cut_at_the_limit() {
    let broken: [&[u8]; 6] =
        [b"\x80\x80", b"\xc3\xc3", b"\xe2\x82", b"\xf0\x9fxx", b"\xff\x80", b"\xed\xa0\x80"];
    for broken in broken {
        for before in 0..broken.len() {
            let text = [&vec![b'x'; MAX_LINE - before], broken, b"yyyy\n"].concat();
            assert_eq!(lengths(&text)[0], MAX_LINE, "{broken:x?} {before}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pieces_do_not_depend_on_what_has_arrived(
        before in 0usize..6,
        around in prop::collection::vec(prop::sample::select(&b"x\r\n\x80\xa0\xbf\xc3\xa9\xe2\x82\xf0\x9f\xff"[..]), 12),
        arrived in 0usize..12,
    ) {
        let text = [&vec![b'x'; MAX_LINE - before], &around[..], b"y\n"].concat();
        let (all, _) = pieces(&text);
        let (first, rest) = pieces(&text[..MAX_LINE - before + arrived]);
        prop_assert!(all.starts_with(&first));
        let continues = first.last().is_some_and(|(_, part)| *part == Part::Cut);
        let left = &text[MAX_LINE - before + arrived - rest.len()..];
        let mut cutter = Cutter::new(left, continues);
        let later: Vec<_> = cutter.by_ref().map(|(range, part)| (&left[range], part)).collect();
        prop_assert_eq!([first, later].concat(), all);
    }
}
