//! Limits that change, and lines that go while somebody reads them.

use std::{collections::BTreeSet, path::Path, time::Duration};

use rustix::fs::{Timespec, Timestamps};
use tenement_logs::{Begin, Followed, Limits, LogQuery, Part, StreamLimits};

use crate::support::{Instance, each, logs, messages, on_disk, open, open_with, query, until};

fn number(line: &str) -> u64 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Offsets that segments of stdout begin at.
fn segments(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let base = |name: String| Some(name.strip_prefix("stdout-")?.split('.').next()?.to_owned());
    names.filter_map(base).collect()
}

#[test]
fn a_smaller_limit_holds_at_once_for_all_that_is_there_and_comes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut apps = ["api:a", "api:b", "web:c"].map(|name| Instance::attach(&store, folder.path(), name));
    for n in 0..20_000 {
        for app in &mut apps {
            app.print(format!("a line of a talkative instance, number {n}\n"));
        }
    }
    apps[1].detach(&store);
    let limit = 64 << 10;
    let api = StreamLimits { max_size: limit, ..StreamLimits::default() };
    let limits = Limits { services: [("api".parse().unwrap(), api)].into(), ..Limits::default() };
    store.set_limits(limits.clone());
    assert_eq!(*store.limits(), limits);
    until("bounded", || {
        let stats = store.stats();
        stats[&apps[0].name].bytes <= limit && stats[&apps[1].name].bytes <= limit
    });
    apps[2].detach(&store);
    let of = |app: &Instance| LogQuery { instance: Some(app.name.clone()), ..query(50_000) };
    assert_eq!(store.query(&of(&apps[2])).unwrap().total, 20_000, "others keep theirs");
    apps[0].print("the newest, number 20000\n");
    apps[0].detach(&store);
    let kept: Vec<_> =
        messages(&store.query(&of(&apps[0])).unwrap()).iter().map(|line| number(line)).collect();
    assert_eq!(kept, (kept[0]..=20_000).collect::<Vec<_>>(), "the newest, without a gap");
    let mut later = Instance::attach(&store, folder.path(), "api:later");
    for n in 0..5000 {
        later.print(format!("a line of a talkative instance, number {n}\n"));
    }
    later.detach(&store);
    assert!(store.stats()[&later.name].bytes <= limit);
    store.set_limits(Limits { max_size: limit, ..limits });
    until("all bounded", || on_disk(&logs(folder.path())) <= limit);
}

#[test]
fn a_shorter_retention_takes_what_is_older() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    app.print("old\n");
    app.detach(&store);
    let oldest = store.oldest();
    assert_eq!(oldest[&app.name], store.query(&query(1)).unwrap().lines[0].timestamp);
    let short = StreamLimits { retention: Duration::from_millis(1), ..StreamLimits::default() };
    until("gone", || {
        store.set_limits(Limits { instance: short, ..Limits::default() });
        store.known().is_empty()
    });
    assert!(store.oldest().is_empty());
}

#[test]
fn what_is_large_and_grows_no_more_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), Limits { segment_size: 64 << 10, ..Limits::default() });
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    for n in 0..1000 {
        app.print(format!("a line of a talkative instance, number {n}\n"));
    }
    app.print("begun ");
    let own = logs(folder.path()).join("api/a");
    until("closed", || segments(&own).len() == 2);
    app.print("and ended 1000\nnumber 1001\n");
    app.detach(&store);
    let lines = messages(&store.query(&query(2000)).unwrap());
    assert_eq!(lines.iter().map(|line| number(line)).collect::<Vec<_>>(), (0..=1001).collect::<Vec<_>>());
    assert_eq!(lines[1000], "begun and ended 1000");
}

#[test]
fn what_has_grown_for_an_hour_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    for n in 0..3000 {
        app.print(format!("a line of a talkative instance, number {n}\n"));
    }
    app.detach(&store);
    drop(store);
    let own = logs(folder.path()).join("api/a");
    // Without its marks, a segment is as old as its file.
    for entry in std::fs::read_dir(&own).unwrap().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "marks") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    let ago = std::time::SystemTime::now() - Duration::from_secs(3601);
    let ago = ago.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let at = Timespec { tv_sec: ago.try_into().unwrap(), tv_nsec: 0 };
    let file = std::fs::File::open(own.join("stdout-00000000000000000000.log")).unwrap();
    rustix::fs::futimens(&file, &Timestamps { last_access: at, last_modification: at }).unwrap();
    let store = open(folder.path());
    until("closed", || segments(&own).len() == 2);
    assert_eq!(store.query(&query(1)).unwrap().total, 3000);
}

// faults: G8
#[test]
fn lines_go_while_they_are_searched_and_followed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), each(256 << 10));
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    let mut follower = store.follow(query(1), &Begin::Now).unwrap();
    let (mut next, mut missed) = (0, 0);
    let mut take = |entries: Vec<Followed>| {
        for entry in entries {
            match entry {
                Followed::Line(line) => {
                    assert_eq!(line.seq, next, "in order, and what is missing was said");
                    assert_eq!(number(&line.message()), line.seq);
                    next += 1;
                }
                Followed::Dropped { lines, .. } => {
                    missed += lines;
                    next += lines;
                }
            }
        }
        next
    };
    const LINES: u64 = 60_000;
    for n in 0..LINES {
        app.print(format!("a line of a talkative instance, number {n}\n"));
        if n % 2000 == 0 {
            let search = LogQuery { search: Some("talkative".into()), ..query(100_000) };
            // The end of the last one may not have come.
            let found = store.query(&search).unwrap().lines;
            let whole = found.iter().filter(|line| line.part == Part::Whole);
            let found: Vec<_> = whole.map(|line| number(&line.message())).collect();
            assert!(found.windows(2).all(|pair| pair[0] + 1 == pair[1]), "without a gap");
        }
        if n % 15_000 == 0 {
            take(follower.read().unwrap().entries);
        }
    }
    app.detach(&store);
    until("followed to the end", || take(follower.read().unwrap().entries) == LINES);
    assert!(missed > 0, "some went before they were read");
}

/// Sets the times of all lines of a stream, as if the clock had been another one.
fn set_times(marks: &Path, at: u64) {
    let mut bytes = std::fs::read(marks).unwrap();
    for record in bytes.chunks_exact_mut(32).skip(1) {
        record[16..24].copy_from_slice(&at.to_le_bytes());
        let sum = record[..28]
            .iter()
            .fold(0x811c_9dc5_u32, |sum, &byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        record[28..].copy_from_slice(&sum.to_le_bytes());
    }
    std::fs::write(marks, bytes).unwrap();
}

// faults: G8 D7
#[test]
fn a_clock_that_is_set_back_changes_no_order() {
    let folder = tempfile::tempdir().unwrap();
    let name = {
        let store = open(folder.path());
        let mut app = Instance::attach(&store, folder.path(), "api:a");
        app.print("one\ntwo\n");
        app.detach(&store);
        app.name
    };
    let ahead = std::time::SystemTime::now() + Duration::from_secs(86_400);
    let ahead = ahead.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    set_times(&logs(folder.path()).join("api/a/stdout-00000000000000000000.marks"), ahead);
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    app.print("three\n");
    app.detach(&store);
    let page = store.query(&query(10)).unwrap();
    assert_eq!(messages(&page), ["one", "two", "three"]);
    assert!(page.lines[0].timestamp > page.lines[2].timestamp, "the clock was set back");
    let newest = LogQuery { before: [(name, 2)].into(), ..query(10) };
    assert_eq!(messages(&store.query(&newest).unwrap()), ["one", "two"]);
    let mut follower = store.follow(query(1), &Begin::Newest(2)).unwrap();
    let followed = follower.read().unwrap().entries;
    assert!(format!("{followed:?}").contains("seq: 2"), "{followed:?}");
}
