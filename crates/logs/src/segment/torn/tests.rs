use std::os::unix::fs::FileExt;

use tenement_core::{slot::RunId, time::WallMillis};

use super::*;
use crate::segment::{Chain, mark::Context};

const BASE: u64 = 2000;

/// Raw files as they are found: base and content. Their headers are of another start of the machine, or of this one.
fn found(files: &[(u64, &[u8])], this_boot: bool) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (base, content) in files {
        let data = open_file(&data_path(dir.path(), Stream::Stdout, *base), true).unwrap();
        data.write_all_at(content, 0).unwrap();
        if this_boot {
            let header = Header { context: Context::default(), begun: WallMillis(5), run: RunId(7) };
            let marks = open_file(&marks_path(dir.path(), Stream::Stdout, *base), true).unwrap();
            marks.write_all_at(&header.encode(), 0).unwrap();
        }
    }
    dir
}

/// What is left of it.
fn kept(dir: &Path) -> Vec<(u64, u64)> {
    let [out, _] = Chain::open_both(dir, &mut 0).unwrap();
    let kept = out.segments().iter().map(|segment| (segment.base, segment.len)).collect();
    // Once it was looked at it is as it was found.
    let [again, _] = Chain::open_both(dir, &mut 0).unwrap();
    assert_eq!(again.segments().iter().map(|segment| (segment.base, segment.len)).collect::<Vec<_>>(), kept);
    kept
}

/// Lines, and zeros instead of these.
fn text(length: usize, zeros: std::ops::Range<usize>) -> Vec<u8> {
    let mut text: Vec<u8> = b"0123456\n".iter().copied().cycle().take(length).collect();
    text[zeros].fill(0);
    text
}

// faults: G8
#[test]
fn what_was_not_written_back_before_a_power_cut_counts_for_nothing() {
    for (length, zeros, left) in [
        (2000, 0..0, 2000),
        (2000, 1990..2000, 1990),
        (2000, 0..2000, 0),
        // A block that was written back while it was filled, and later ones.
        (2000, 1000..1024, 1000),
        (600_000, 262_100..262_144, 262_100),
        (600_000, 262_100..270_336, 262_100),
        // The application's own.
        (2000, 1000..1010, 2000),
        (600_000, 262_100..262_145, 600_000),
    ] {
        let text = text(length, zeros.clone());
        let dir = found(&[(0, &text)], false);
        assert_eq!(kept(dir.path()), [(0, left)], "{zeros:?} of {length}");
        let dir = found(&[(0, &text)], true);
        assert_eq!(kept(dir.path()), [(0, length as u64)], "the machine has not stopped since");
    }
}

// faults: G8
#[test]
fn nothing_comes_after_a_gap() {
    let [whole, short, torn] = [text(2000, 0..0), text(1999, 0..0), text(2000, 1536..2000)];
    let later = [BASE, 2 * BASE];
    for (first, left) in [(&whole, 3), (&short, 1), (&torn, 1)] {
        let files = [(0, &first[..]), (later[0], &whole[..]), (later[1], &whole[..])];
        let dir = found(&files, false);
        let kept = kept(dir.path());
        assert_eq!(kept.len(), left);
        let aside = std::fs::read_dir(dir.path()).unwrap().flatten();
        let aside = aside.filter(|entry| entry.path().extension().is_some_and(|suffix| suffix == "damaged"));
        assert_eq!(aside.count(), 3 - left, "they are kept for a person to look at");
    }
}

#[test]
fn what_comes_after_zeros_is_kept_for_a_person() {
    let dir = found(&[(0, &text(4096, 1000..1024))], false);
    assert_eq!(kept(dir.path()), [(0, 1000)]);
    let aside = fs::read(data_path(dir.path(), Stream::Stdout, 0).with_extension("damaged")).unwrap();
    assert_eq!(aside, &text(4096, 1000..1024)[1000..]);
}
