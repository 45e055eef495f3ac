//! How much is kept.

use std::io::Write;

use tenement_logs::{Limits, LogLine, LogQuery, StreamLimits};

use crate::support::{Instance, each, logs, messages, on_disk, open, open_with, query, until};

fn numbers(lines: &[String]) -> Vec<u32> {
    lines.iter().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn an_instance_has_no_more_than_its_limit_and_keeps_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let limit = 64 << 10;
    let services = [("small".parse().unwrap(), StreamLimits { max_size: limit, ..StreamLimits::default() })];
    let store = open_with(folder.path(), Limits { services: services.into(), ..Limits::default() });
    let mut small = Instance::attach(&store, folder.path(), "small:a");
    let mut large = Instance::attach(&store, folder.path(), "large:a");
    for n in 0..40_000 {
        small.print(format!("a line of a talkative instance, number {n}\n"));
        small.stderr.write_all(b"x\n").unwrap();
        large.print(format!("line {n}\n"));
        if n % 100 == 0 {
            assert!(store.stats()[&small.name].bytes <= limit);
        }
    }
    small.detach(&store);
    large.detach(&store);
    let of = |instance: &Instance, text: &str| LogQuery {
        instance: Some(instance.name.clone()),
        search: Some(text.into()),
        ..query(50_000)
    };
    let kept = numbers(&messages(&store.query(&of(&small, "line")).unwrap()));
    assert_eq!(kept, (kept[0]..40_000).collect::<Vec<_>>(), "the newest, without a gap");
    assert!(kept.len() as u64 * 45 > limit / 2, "not much less than there is room for: {}", kept.len());
    assert_eq!(store.query(&of(&large, "line")).unwrap().total, 40_000);
    until("packed", || {
        let bytes = store.stats()[&small.name].bytes;
        assert!(bytes <= limit);
        on_disk(&logs(folder.path()).join("small")) == bytes
    });
}

#[test]
fn what_describes_the_lines_counts() {
    let folder = tempfile::tempdir().unwrap();
    let limit = 16 << 10;
    let store = open_with(folder.path(), each(limit));
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    for n in 0..3000 {
        app.print("x\n");
        // A line that was seen has a mark of its own.
        until("seen", || store.query(&query(1)).unwrap().lines.last().is_some_and(|line| line.seq == n));
    }
    // While a segment is packed there are both.
    until("packed", || on_disk(&logs(folder.path())) <= limit);
    let page = store.query(&query(1000)).unwrap();
    assert!(page.total > 200, "{}", page.total);
    assert_eq!(page.lines.last().unwrap().seq, 2999);
}

// faults: G6
#[test]
fn all_together_have_no_more_than_their_limit_and_who_writes_little_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let limit = 512 << 10;
    let store = open_with(folder.path(), Limits { max_size: limit, ..each(limit) });
    let names = ["a", "b", "c", "d", "e", "f"].map(|id| format!("api:{id}"));
    let mut loud = names.each_ref().map(|name| Instance::attach(&store, folder.path(), name));
    let mut quiet = Instance::attach(&store, folder.path(), "api:quiet");
    quiet.print("quiet 0\nquiet 1\n");
    let total = || store.stats().values().map(|stats| stats.bytes).sum::<u64>();
    for n in 0..10_000 {
        for instance in &mut loud {
            instance.print(format!("a line of a talkative instance, number {n}\n"));
        }
        if n % 100 == 0 {
            // The figures of seven instances are not those of one moment.
            let total = total();
            assert!(total <= limit + limit / 8, "{total} at {n}");
        }
    }
    quiet.print("quiet 2\n");
    quiet.detach(&store);
    for instance in &loud {
        instance.detach(&store);
        let of = LogQuery { instance: Some(instance.name.clone()), ..query(20_000) };
        let kept = numbers(&messages(&store.query(&of).unwrap()));
        assert_eq!(kept, (kept[0]..10_000).collect::<Vec<_>>(), "the newest, without a gap");
        assert!(kept.len() > 700, "each has its part: {}", kept.len());
    }
    let of_quiet = LogQuery { instance: Some(quiet.name.clone()), ..query(10) };
    assert_eq!(messages(&store.query(&of_quiet).unwrap()), ["quiet 0", "quiet 1", "quiet 2"]);
    assert!(on_disk(&logs(folder.path())) <= limit + limit / 8 / 7);
}

/// Everything that makes one line differ from the next.
fn write_all_kinds(app: &mut Instance) {
    for n in 0..300 {
        app.print(format!("out {n} {}\n", "x".repeat(n * 7 % 300)));
        app.stderr
            .write_all(format!("err {n}\nTraceback (most recent call last):\n  at\nKeyError\n").as_bytes())
            .unwrap();
        if n % 100 == 50 {
            app.print(format!("{}\n", "é".repeat(50_000)));
        }
    }
    app.print("not ended");
}

#[test]
fn a_smaller_limit_keeps_the_newest_lines_of_what_a_larger_one_left() {
    for (again, limit) in [(false, 150 << 10), (true, 150 << 10), (true, 20 << 10), (false, 1000)] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let mut app = Instance::attach(&store, folder.path(), "api:a");
        write_all_kinds(&mut app);
        app.detach(&store);
        let before = store.query(&query(10_000)).unwrap().lines;
        drop(store);
        let store = open_with(folder.path(), each(limit));
        let _again = again.then(|| Instance::attach(&store, folder.path(), "api:a"));
        until("bounded", || store.stats().values().all(|stats| stats.bytes <= limit));
        let after = store.query(&query(10_000)).unwrap().lines;
        for stream in tenement_logs::Stream::ALL {
            let of = |lines: &[LogLine]| {
                lines.iter().filter(|line| line.stream == stream).cloned().collect::<Vec<_>>()
            };
            let (before, after) = (of(&before), of(&after));
            assert_eq!(after, before[before.len() - after.len()..], "the newest, as they were");
        }
        let bytes: usize = after.iter().map(|line| line.bytes.len()).sum();
        assert!(bytes > limit as usize / 5, "{bytes} of {limit}");
    }
}
