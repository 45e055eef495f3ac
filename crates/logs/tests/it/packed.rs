//! Closed segments are packed and indexed, and nobody can tell by an answer.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use tenement_logs::{Grain, Level, LevelSet, Limits, LogQuery, LogStore, QueryError, Stream, damage_met};

use crate::support::{Instance, logs, messages, on_disk, open, open_with, query, until};

/// With so small segments that a test has many.
fn small(folder: &Path) -> LogStore {
    open_with(folder, Limits { segment_size: 32 << 10, ..Limits::default() })
}

fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(logs(folder).join("api/a")).unwrap().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(suffix)).collect();
    files.sort();
    files
}

/// Everything that is closed has its packed file and its index.
fn settled(store: &LogStore, folder: &Path) {
    until("packed", || {
        let stats = store.stats();
        let closed = files(folder, ".log").len() <= 2 && files(folder, ".tmp").is_empty();
        closed && stats.values().all(|stats| stats.unindexed == 0)
    });
}

const LINES: usize = 12_000;

fn line(n: usize) -> String {
    let level = ["INFO", "WARN", "ERROR", "DEBUG"][n % 7 % 4];
    let word = ["Request", "requests", "Größe", "checkout", "pg"][n % 5];
    let end = if n % 1000 == 7 { "connection refused: 10.0.0.1" } else { "done" };
    format!("{level} {word} user={} /v1/orders/{n:07} {end}", n % 211)
}

fn printed(folder: &Path) -> LogStore {
    let store = small(folder);
    let mut app = Instance::attach(&store, folder, "api:a");
    for n in 0..LINES {
        let line = line(n) + "\n";
        if n % 3 == 0 {
            app.stderr.write_all(line.as_bytes()).unwrap()
        } else {
            app.print(line)
        }
        // The order over both streams is that in which they are read.
        if n % 500 == 499 {
            until("read", || store.query(&query(1)).unwrap().total as usize == n + 1);
        }
    }
    app.detach(&store);
    store
}

/// Numbers of the lines that hold all words, in upper or lower case.
fn holding(lines: &[String], words: &[&str]) -> Vec<String> {
    let holds = |line: &&String| words.iter().all(|word| line.to_lowercase().contains(word));
    let mut held: Vec<_> = lines.iter().filter(holds).cloned().collect();
    held.sort();
    held
}

#[test]
fn answers_are_those_of_reading_everything() {
    let folder = tempfile::tempdir().unwrap();
    let store = printed(folder.path());
    let before = messages(&store.query(&query(LINES)).unwrap());
    assert_eq!(before.len(), LINES);
    settled(&store, folder.path());
    assert!(files(folder.path(), ".zst").len() > 10 && files(folder.path(), ".idx").len() > 10);
    assert_eq!(messages(&store.query(&query(LINES)).unwrap()), before, "in the same order");
    for words in [
        &["request"][..],
        &["größe"],
        &["requests", "user=1"],
        &["connection refused"],
        &["/v1/orders/0004711"],
        &["4711"],
        &["e"],
        &["nowhere"],
        &["pg", "warn", "9"],
    ] {
        let terms = words.iter().map(ToString::to_string).collect();
        let page = store.query(&LogQuery { terms, ..query(LINES) }).unwrap();
        let mut found = messages(&page);
        found.sort();
        assert_eq!(found, holding(&before, words), "{words:?}");
        assert_eq!(page.total as usize, found.len());
    }
    let wanted = holding(&before, &["error", "refused"]);
    let error: LevelSet = [Level::Error].into_iter().collect();
    for (grep, search) in [(Some("conn\\w+ refused: \\d"), None), (None, Some("refused: 10"))] {
        let of = |text: Option<&str>| text.map(str::to_owned);
        let terms = vec!["error".to_owned()];
        let query = LogQuery { grep: of(grep), search: of(search), terms, levels: error, ..query(LINES) };
        let mut found = messages(&store.query(&query).unwrap());
        found.sort();
        assert_eq!(found, wanted);
    }
    assert!(!wanted.is_empty());
}

#[test]
fn fields_are_found_as_by_reading() {
    let folder = tempfile::tempdir().unwrap();
    let store = small(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    for n in 0..LINES {
        let user = ["alice", "Alice", "b\\u006fb", "carol-ann", "a\\/b"][n % 5];
        let name = if n % 3 == 0 { "us\\u0065r" } else { "user" };
        match n % 4 {
            0 => app.print(format!("status={} user=\"{user}\" http.code={}\n", n % 600, n % 7)),
            1 => app.print(format!("no fields but user and alice, {n}\n")),
            _ => {
                app.print(format!("{{\"{name}\":\"{user}\",\"http\":{{\"code\":{}.0}},\"n\":{n}}}\n", n % 7))
            }
        }
    }
    app.detach(&store);
    let conditions = [
        "user=alice",
        "user=bob",
        "user=carol-ann",
        "user=a/b",
        "user!=alice",
        "http.code=3",
        "status>=590",
        "none=1",
    ];
    let count = |condition: &str| {
        let fields = vec![tenement_logs::Field::parse(condition).unwrap()];
        store.query(&LogQuery { fields, ..query(1) }).unwrap().total
    };
    let before = conditions.map(count);
    assert!(before[..7].iter().all(|&found| found > 0) && before[7] == 0, "{before:?}");
    settled(&store, folder.path());
    assert_eq!(conditions.map(count), before);
}

#[test]
fn pages_of_a_search_go_on_where_the_last_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = printed(folder.path());
    settled(&store, folder.path());
    let terms = vec!["request".to_owned()];
    let all = store.query(&LogQuery { terms: terms.clone(), ..query(LINES) }).unwrap();
    let (mut paged, mut before) = (Vec::new(), Default::default());
    loop {
        let page = store.query(&LogQuery { terms: terms.clone(), before, ..query(777) }).unwrap();
        assert_eq!(page.total as usize + paged.len(), all.lines.len());
        let Some(first) = page.lines.first() else { break };
        before = [(first.instance.clone(), first.seq)].into();
        paged.splice(0..0, page.lines);
    }
    assert_eq!(paged, all.lines);
}

#[test]
fn a_page_that_counts_nothing_is_the_same_page_and_says_whether_there_is_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = printed(folder.path());
    let terms = vec!["request".to_owned()];
    let of = |count, limit, cursor| LogQuery { terms: terms.clone(), count, cursor, ..query(limit) };
    for _ in 0..2 {
        let total = store.query(&of(true, 1, None)).unwrap().total as usize;
        let (mut cursor, mut seen) = (None, 0);
        loop {
            let page = store.query(&of(false, 777, cursor.clone())).unwrap();
            let counted = store.query(&of(true, 777, cursor)).unwrap();
            assert_eq!((&page.lines, page.has_more), (&counted.lines, counted.has_more));
            seen += page.lines.len();
            assert_eq!(page.total as usize, seen + usize::from(page.has_more));
            if !page.has_more {
                break;
            }
            cursor = Some(page.next);
        }
        assert_eq!(seen, total);
        settled(&store, folder.path());
    }
}

#[test]
fn a_missing_or_damaged_index_costs_no_answer_and_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = printed(folder.path());
    settled(&store, folder.path());
    let wanted = |store: &LogStore| {
        store.query(&LogQuery { terms: vec!["checkout".into()], ..query(1) }).unwrap().total
    };
    let total = wanted(&store);
    assert_eq!(total as usize, LINES / 5);
    drop(store);
    let indexes = files(folder.path(), ".idx");
    for (number, index) in indexes.iter().enumerate() {
        match number % 3 {
            0 => fs::remove_file(index).unwrap(),
            1 => fs::File::options().write(true).open(index).unwrap().set_len(100).unwrap(),
            _ => {}
        }
    }
    let store = small(folder.path());
    assert_eq!(wanted(&store), total);
    store.reindex().unwrap();
    assert_eq!(wanted(&store), total);
    settled(&store, folder.path());
    assert_eq!((wanted(&store), files(folder.path(), ".idx")), (total, indexes));
}

#[test]
fn what_is_packed_is_found_by_the_next_daemon_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = printed(folder.path());
    settled(&store, folder.path());
    let before = store.query(&query(LINES)).unwrap().lines;
    drop(store);
    // A crash after packing and before the raw files went: both are there.
    let packed = &files(folder.path(), ".zst")[0];
    fs::File::create(packed.with_extension("log")).unwrap().write_all(b"no longer of any use\n").unwrap();
    let store = small(folder.path());
    assert_eq!(store.query(&query(LINES)).unwrap().lines, before);
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    app.print("one more\n");
    app.detach(&store);
    let page = store.query(&query(2)).unwrap();
    assert_eq!(messages(&page)[1], "one more");
    assert_eq!((page.lines[1].seq, page.total), (LINES as u64, LINES as u64 + 1));
    let stats = store.stats();
    assert_eq!(stats.values().map(|stats| stats.bytes).sum::<u64>(), on_disk(&logs(folder.path())));
}

#[test]
fn where_only_packed_segments_are_left_the_stream_goes_on_after_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = printed(folder.path());
    settled(&store, folder.path());
    drop(store);
    // As a power cut may leave it.
    for file in [files(folder.path(), ".log"), files(folder.path(), ".marks")].concat() {
        fs::remove_file(file).unwrap();
    }
    let store = small(folder.path());
    let kept = messages(&store.query(&query(LINES)).unwrap());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    app.print("one more\n");
    app.detach(&store);
    let lines = messages(&store.query(&query(LINES)).unwrap());
    assert_eq!((&lines[..kept.len()], &lines[kept.len()..]), (&kept[..], &["one more".to_owned()][..]));
}

// faults: G8
#[test]
fn a_damaged_packed_segment_keeps_nobody_from_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = printed(folder.path());
    settled(&store, folder.path());
    drop(store);
    let packed = files(folder.path(), ".zst");
    let half = fs::metadata(&packed[2]).unwrap().len() / 2;
    fs::File::options().write(true).open(&packed[2]).unwrap().set_len(half).unwrap();
    let whole = fs::read(&packed[4]).unwrap();
    let mut bad = whole.clone();
    bad[whole.len() / 3] ^= 0xff;
    fs::File::create(&packed[4]).unwrap().write_all(&bad).unwrap();
    let store = open(folder.path());
    let met = damage_met();
    let page = store.query(&query(LINES)).unwrap();
    let kept = page.lines.len();
    assert!(kept > LINES * 8 / 10 && kept < LINES, "{kept}");
    // Of what had no end no line is known any more; the other one has a frame that can't be read.
    assert!(page.damaged > 0);
    assert!(damage_met() > met);
    // Whoever asks in another way is told as well.
    let counted = store.histogram(&query(0), Grain::Buckets(60)).unwrap();
    assert_eq!((counted.total as usize, counted.damaged), (kept, page.damaged));
    let mut export = store.export(&query(0)).unwrap();
    let mut exported = 0;
    let end = loop {
        match export.read() {
            Ok(Some(lines)) => exported += lines.len(),
            end => break end,
        }
    };
    assert!(matches!(end, Err(QueryError::Damaged(1..))), "{end:?}");
    assert_eq!(exported, kept);
    let other = Stream::ALL.into_iter().filter(|stream| {
        store.query(&LogQuery { stream: Some(*stream), ..query(LINES) }).unwrap().damaged == 0
    });
    for stream in other {
        let mut export = store.export(&LogQuery { stream: Some(stream), ..query(0) }).unwrap();
        while export.read().unwrap().is_some() {}
    }
}

#[test]
fn a_purge_leaves_nothing_of_what_was_packed() {
    let folder = tempfile::tempdir().unwrap();
    let store = printed(folder.path());
    let name = "api:a".parse().unwrap();
    // Whatever the packer is at.
    store.purge(&name).unwrap();
    assert!(!logs(folder.path()).join("api/a").exists() || files(folder.path(), "").is_empty());
    assert_eq!(store.query(&query(1)).unwrap().total, 0);
}

#[test]
fn nobody_who_reads_notices_the_packer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), Limits { segment_size: 8 << 10, ..Limits::default() });
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    let reader = {
        let store = store.clone();
        std::thread::spawn(move || {
            let mut last = 0;
            while last < LINES as u64 {
                let page = store.query(&LogQuery { terms: vec!["line".into()], ..query(LINES) }).unwrap();
                assert!(page.total >= last, "{} after {last}", page.total);
                let numbers: Vec<u64> = page.lines.iter().map(|line| line.seq).collect();
                assert_eq!(numbers, (0..page.lines.len() as u64).collect::<Vec<_>>());
                last = page.total;
            }
        })
    };
    (0..LINES).for_each(|n| app.print(format!("a line with the number {n}\n")));
    app.detach(&store);
    reader.join().unwrap();
}

// faults: G8
#[test]
fn what_cannot_be_indexed_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = printed(folder.path());
    settled(&store, folder.path());
    let packed = files(folder.path(), ".zst");
    let mut bad = fs::read(&packed[3]).unwrap();
    let at = bad.len() / 3;
    bad[at] ^= 0xff;
    fs::File::create(&packed[3]).unwrap().write_all(&bad).unwrap();
    store.reindex().unwrap();
    settled(&store, folder.path());
    assert_eq!(files(folder.path(), ".idx").len(), packed.len() - 1);
}

// faults: C1, I10
#[test]
fn what_is_none_of_ours_in_a_folder_is_left_alone_and_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = printed(folder.path());
    settled(&store, folder.path());
    drop(store);
    let own = logs(folder.path()).join("api/a");
    for name in ["stdout-5.log", "stdout-+5.log", "stdout-7.zst", "stdout-x.log"] {
        fs::File::create(own.join(name)).unwrap();
    }
    let index = &files(folder.path(), ".idx")[1];
    fs::remove_file(index).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, index, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    let store = small(folder.path());
    let page = store.query(&LogQuery { terms: vec!["checkout".into()], ..query(LINES) }).unwrap();
    assert_eq!(page.total as usize, LINES / 5);
    let page = store.query(&query(LINES)).unwrap();
    assert_eq!(page.lines.len(), LINES);
}
