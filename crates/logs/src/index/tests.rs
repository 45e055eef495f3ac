use proptest::prelude::*;

use super::*;
use crate::{blocks::FileId, fold::fold, level::LevelSet, zst::Press};

fn index(lines: &[Vec<u8>]) -> Index {
    let mut builder = Builder::default();
    for (number, line) in lines.iter().enumerate() {
        let mut folded = line.clone();
        fold(&mut folded);
        builder.line(&folded, Level::ALL[number % 4]);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file.as_file(), &builder.finish(&mut Press::new().unwrap()).unwrap())
        .unwrap();
    Index::open(file.path().to_owned(), Some(FileId::new())).unwrap()
}

fn found(set: &LineSet) -> Vec<u32> {
    let mut lines = Vec::new();
    let mut end = u32::MAX;
    while let Some(line) = set.last_before(end) {
        lines.push(line);
        end = line;
    }
    lines.reverse();
    lines
}

fn holding(lines: &[Vec<u8>], text: &[u8]) -> Vec<u32> {
    let holds = |line: &Vec<u8>| {
        let mut folded = line.clone();
        fold(&mut folded);
        memchr::memmem::find(&folded, text).is_some()
    };
    (0..lines.len() as u32).filter(|&line| holds(&lines[line as usize])).collect()
}

/// The lines that may hold a text, as a query looks for them.
fn candidates(index: &Index, text: &[u8]) -> (LineSet, bool) {
    let (pieces, exact) = pieces(text);
    let mut found = LineSet::all(index.lines());
    for piece in pieces {
        found.and(&index.find(&piece).unwrap());
    }
    found.or(&index.opaque().unwrap());
    (found, exact)
}

#[test]
fn words_are_found_wherever_they_stand() {
    let lines: Vec<Vec<u8>> = (0..20_000u32)
        .map(|n| {
            let more = if n % 7 == 0 { "Connecting to pg" } else { "prerequests done" };
            format!("2026-01-01T00:{:02}Z GET /v1/orders/{n:07} user{} {more} shopfront", n % 60, n % 500)
        })
        .map(String::into_bytes)
        .collect();
    let index = index(&lines);
    for text in [
        "shopfront",
        "request",
        "connecting",
        "s",
        "pg",
        "to",
        "0004711",
        "4711",
        "user42",
        "2",
        "nowhere",
        "r4",
        "get",
        "orders",
        "z",
        "ser1",
    ] {
        let (set, exact) = candidates(&index, text.as_bytes());
        assert!(exact);
        assert_eq!(found(&set), holding(&lines, text.as_bytes()), "{text}");
    }
    for text in ["connecting to pg", "/v1/orders/0004", "z get", "done shop", "user42 ", "/", " to "] {
        let (set, exact) = candidates(&index, text.as_bytes());
        assert!(!exact);
        let missed = holding(&lines, text.as_bytes()).into_iter().filter(|&line| !set.has(line)).count();
        assert_eq!(missed, 0, "{text}");
    }
    assert_eq!(found(&candidates(&index, b"/v1/orders/0004711 user").0), [4711]);
    let warn: LevelSet = [Level::Warn].into_iter().collect();
    assert_eq!(index.levels(warn).unwrap().count_before(u32::MAX), 5000);
    assert_eq!(index.levels(LevelSet::ALL).unwrap(), LineSet::all(20_000));
}

#[test]
fn what_an_index_does_not_know_it_says() {
    let long = "x".repeat(100);
    let lines = [format!("short {long}"), "short".to_owned(), long].map(String::into_bytes);
    let index = index(&lines);
    assert_eq!(found(&index.opaque().unwrap()), [0, 2]);
    assert_eq!(found(&candidates(&index, b"xxxx").0), [0, 2]);
    assert_eq!(found(&candidates(&index, b"short").0), [0, 1, 2]);
}

// faults: G8
#[test]
fn a_damaged_index_is_known_to_be_one() {
    let lines: Vec<Vec<u8>> =
        (0..3000u32).map(|n| format!("line {n} of {}", n * 7919).into_bytes()).collect();
    let mut builder = Builder::default();
    lines.iter().for_each(|line| builder.line(line, Level::Info));
    let bytes = builder.finish(&mut Press::new().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let wanted = holding(&lines, b"42");
    for at in (0..bytes.len()).step_by(97) {
        let mut bad = bytes.clone();
        bad[at] ^= 0x20;
        std::fs::File::create(&path).and_then(|mut file| std::io::Write::write_all(&mut file, &bad)).unwrap();
        let answer = Index::open(path.clone(), None).and_then(|index| index.find(&pieces(b"42").0[0]));
        // It is an error or the right answer.
        assert!(answer.is_err() || found(&answer.unwrap()) == wanted, "at {at}");
    }
    std::fs::File::create(&path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, &bytes[..50]))
        .unwrap();
    assert!(Index::open(path, None).is_err());
}

proptest! {
    #[test]
    fn an_index_says_what_reading_would(
        lines in proptest::collection::vec("[a-cA-C1-2_ .é\u{ff}]{0,12}", 0..200),
        text in "[a-c1-2_ .é]{1,5}",
    ) {
        let lines: Vec<Vec<u8>> = lines.into_iter().map(String::into_bytes).collect();
        let (set, exact) = candidates(&index(&lines), text.as_bytes());
        let truth = holding(&lines, text.as_bytes());
        prop_assert!(truth.iter().all(|&line| set.has(line)));
        if exact {
            prop_assert_eq!(found(&set), truth);
        }
    }
}
