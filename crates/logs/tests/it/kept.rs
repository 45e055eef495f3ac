use std::{io::Write, os::unix::fs::PermissionsExt};

use tenement_core::name::InstanceName;
use tenement_logs::{Level, LevelSet, LogQuery, Part, Stream};

use crate::support::{Instance, fifo, logs, messages, open, query, until};

#[test]
fn lines_are_kept_in_order_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    app.print("one\ntwo\r\nthree");
    app.stderr.write_all(b"oops\n").unwrap();
    app.detach(&store);
    let page = store.query(&query(50)).unwrap();
    assert_eq!((page.total, page.has_more), (4, false));
    let line = |text: &str| page.lines.iter().find(|line| line.message() == text).unwrap();
    assert_eq!((line("one").level, line("oops").level), (Level::Info, Level::Error));
    assert_eq!((line("one").stream, line("oops").stream), (Stream::Stdout, Stream::Stderr));
    assert!(line("one").seq < line("two").seq && line("two").seq < line("three").seq);
    drop(store);
    let again = open(folder.path());
    assert_eq!(messages(&again.query(&query(50)).unwrap()), messages(&page));
    assert_eq!(again.known(), [app.name]);
}

#[test]
fn pages_go_back_from_the_newest_and_totals_are_exact() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    for n in 0..20_000 {
        app.print(format!("line {n}\n"));
    }
    app.detach(&store);
    let page = |offset, limit| store.query(&LogQuery { offset, ..query(limit) }).unwrap();
    assert_eq!(messages(&page(0, 2)), ["line 19998", "line 19999"]);
    assert_eq!(messages(&page(10_000, 2)), ["line 9998", "line 9999"]);
    let last = page(19_999, 5);
    assert_eq!((messages(&last), last.total, last.has_more), (vec!["line 0".to_owned()], 20_000, false));
    assert!(page(30_000, 5).lines.is_empty());
    assert_eq!(store.last_lines(&app.name, 1), ["line 19999"]);
    let mut next = Instance::attach(&store, folder.path(), "api:a");
    assert!(store.last_lines(&app.name, 5).is_empty(), "none of a run before");
    next.print("of the next run\n");
    next.detach(&store);
    assert_eq!(store.last_lines(&app.name, 5), ["of the next run"]);
}

#[test]
fn what_is_before_a_place_is_a_page_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    for n in 0..5000 {
        app.print(format!("line {n}\n"));
    }
    app.detach(&store);
    let page = |place, limit, grep: Option<&str>| {
        let before = [(app.name.clone(), place)].into();
        store.query(&LogQuery { before, grep: grep.map(str::to_owned), ..query(limit) }).unwrap()
    };
    let newer = page(3000, 2, None);
    assert_eq!((messages(&newer), newer.total), (vec!["line 2998".into(), "line 2999".into()], 3000));
    let last = page(2, 5, None);
    assert_eq!((messages(&last).len(), last.total, last.has_more), (2, 2, false));
    assert_eq!((page(0, 5, None).total, page(9000, 1, None).total), (0, 5000));
    let found = page(3000, 1, Some("^line [23]...$"));
    assert_eq!((messages(&found), found.total, found.has_more), (vec!["line 2999".to_owned()], 1000, true));
}

#[test]
fn filters_narrow_and_combine() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut alice = Instance::attach(&store, folder.path(), "api:alice");
    let mut bob = Instance::attach(&store, folder.path(), "web:bob");
    alice.print("ERROR disk 1\nWARN disk 2\nall is [well]\n");
    bob.print("ERROR disk 3\n");
    alice.detach(&store);
    bob.detach(&store);
    let found = |query: LogQuery| {
        let mut found = messages(&store.query(&query).unwrap());
        found.sort();
        found
    };
    let base = || query(50);
    assert_eq!(found(LogQuery { instance: Some(bob.name.clone()), ..base() }), ["ERROR disk 3"]);
    assert_eq!(found(LogQuery { service: Some("api".parse().unwrap()), ..base() }).len(), 3);
    let bad = LevelSet::at_least(Level::Warn);
    assert_eq!(found(LogQuery { levels: bad, ..base() }).len(), 3);
    assert_eq!(
        found(LogQuery { grep: Some("disk [23]$".into()), ..base() }),
        ["ERROR disk 3", "WARN disk 2"]
    );
    assert_eq!(found(LogQuery { search: Some("[well]".into()), ..base() }), ["all is [well]"]);
    assert!(store.query(&LogQuery { grep: Some("(".into()), ..base() }).is_err());
}

// faults: G1 G2 G3
#[test]
fn hostile_lines_are_kept_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    let binary = b"\xff\x00\xfe \x1b]0;title\x07 \xe2\x80\xa8 a\rb";
    app.print(binary);
    app.print("\n");
    let long = vec![b'x'; 10 << 20];
    app.print(&long);
    app.print("\nend\n");
    app.detach(&store);
    let page = store.query(&query(1000)).unwrap();
    assert_eq!(page.lines[0].bytes, binary);
    let parts: Vec<_> = page.lines.iter().filter(|line| line.part != Part::Whole).collect();
    assert!(parts.iter().all(|line| line.bytes.len() <= 64 << 10));
    assert_eq!(parts.iter().map(|line| line.bytes.len()).sum::<usize>(), long.len());
    let (last, cut) = parts.split_last().unwrap();
    assert!(last.part == Part::Last && cut.iter().all(|line| line.part == Part::Cut));
    assert_eq!(page.lines.last().unwrap().message(), "end");
}

// faults: G1 G2
#[test]
fn a_long_line_is_cut_between_characters_and_only_when_it_is_too_long() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    let long = format!("x{}", "é".repeat(40_000));
    let longest = "y".repeat(64 << 10);
    // In pieces, so that lines are cut before all of them has arrived.
    let mut sent = 0;
    for piece in format!("{long}\n{longest}\r\n").as_bytes().chunks(4095) {
        app.print(piece);
        sent += piece.len() as u64;
        until("taken in", || store.stats()[&app.name].bytes >= sent && store.query(&query(1)).is_ok());
    }
    app.detach(&store);
    let page = store.query(&query(10)).unwrap();
    let found = messages(&page);
    assert_eq!(format!("{}{}", found[0], found[1]), long);
    assert_eq!(found[2..], [longest]);
    assert_eq!(
        page.lines.iter().map(|line| line.part).collect::<Vec<_>>(),
        [Part::Cut, Part::Last, Part::Whole]
    );
}

// faults: G1
#[test]
fn an_answer_has_no_more_lines_than_fit_into_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    for n in 0..100 {
        app.print(format!("{n} {}\n", ["x", "\x01", "\""][n % 3].repeat(20_000)));
    }
    app.detach(&store);
    let (max_bytes, mut seen) = (1 << 20, Vec::new());
    loop {
        let page = store.query(&LogQuery { max_bytes, offset: seen.len(), ..query(1000) }).unwrap();
        assert_eq!(page.total, 100);
        assert!(
            page.lines.iter().map(|line| format!("{:?}", line.message()).len()).sum::<usize>() <= max_bytes
        );
        seen.splice(0..0, messages(&page));
        assert_eq!(page.has_more, seen.len() < 100);
        if !page.has_more {
            break;
        }
    }
    let numbers: Vec<_> = seen.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(numbers, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    let page = store.query(&LogQuery { max_bytes: 1, ..query(10) }).unwrap();
    assert_eq!((page.lines.len(), page.has_more), (1, true), "one line at least, so that one gets on");
}

#[test]
fn purging_removes_every_file_and_modes_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    app.print("secret\n");
    app.detach(&store);
    let own = logs(folder.path()).join("api/a");
    for entry in std::fs::read_dir(&own).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o077, 0);
    }
    store.purge(&app.name).unwrap();
    assert!(!own.exists() && store.known().is_empty());
    assert_eq!(store.query(&query(50)).unwrap().total, 0);
}

// faults: G9
#[test]
fn what_is_resumed_goes_on_beside_a_next_run_and_ends_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let name: InstanceName = "api:a".parse().unwrap();
    let path = |stream: &str| folder.path().join(format!("api-a.{stream}"));
    let ((out, mut survivor), (err, _held)) = (fifo(&path("out")), fifo(&path("err")));
    store.resume(&name, [out, err]).unwrap();
    survivor.write_all(b"one\n").unwrap();
    until("read", || store.query(&query(9)).unwrap().total == 1);
    // A start that comes to nothing.
    Instance::attach(&store, folder.path(), "api:a").detach(&store);
    survivor.write_all(b"two\n").unwrap();
    until("read", || store.query(&query(9)).unwrap().total == 2);
    // The instance is forgotten, and at once there is one of its name again.
    store.let_go(&name);
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    app.print("three\n");
    until("read", || store.query(&query(9)).unwrap().total == 3);
    assert_eq!(messages(&store.query(&query(9)).unwrap()), ["one", "two", "three"]);
}
