//! What can be asked, and what an answer costs at most.

use std::{
    collections::BTreeMap,
    io::Write,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tenement_core::{name::InstanceName, time::WallMillis};
use tenement_logs::{
    Bounds, Context, Field, Grain, LogLine, LogPage, LogQuery, LogStore, QueryError, Stream,
};
use tenement_runtime::clock;

use crate::support::{Instance, messages, open, query, until};

fn name(text: &str) -> InstanceName {
    text.parse().unwrap()
}

fn with_fields(conditions: &[&str]) -> LogQuery {
    let fields = conditions.iter().map(|text| Field::parse(text).unwrap()).collect();
    LogQuery { fields, ..query(50) }
}

/// Some instances, each with lines that are there.
fn written(store: &LogStore, folder: &Path, lines: &[(&str, &str)]) -> BTreeMap<String, Instance> {
    let mut instances = BTreeMap::new();
    for (count, (instance, line)) in (1..).zip(lines) {
        let attach = || Instance::attach(store, folder, instance);
        instances.entry((*instance).to_owned()).or_insert_with(attach).print(format!("{line}\n"));
        seen(store, count);
    }
    instances
}

/// So many lines are there, and have marks of their own.
fn seen(store: &LogStore, lines: u64) {
    until("seen", || store.query(&query(1)).unwrap().total == lines);
}

#[test]
fn several_instances_and_one_stream() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut all =
        written(&store, folder.path(), &[("api:a", "a out"), ("api:b", "b out"), ("web:a", "web out")]);
    all.get_mut("api:a").unwrap().stderr.write_all(b"a err\n").unwrap();
    all.values().for_each(|instance| instance.detach(&store));
    let of = |query: LogQuery| {
        let mut found = messages(&store.query(&query).unwrap());
        found.sort();
        found
    };
    let several =
        |names: &[&str]| LogQuery { instances: names.iter().map(|one| name(one)).collect(), ..query(50) };
    assert_eq!(of(several(&["api:a", "web:a", "api:none"])), ["a err", "a out", "web out"]);
    let bounds = Bounds { service: Some("api".parse().unwrap()), instance: None };
    assert_eq!(of(LogQuery { bounds, ..several(&["api:b", "web:a"]) }), ["b out"], "what the asker may see");
    let stream = |stream| LogQuery { stream: Some(stream), ..query(50) };
    assert_eq!(of(stream(Stream::Stderr)), ["a err"]);
    assert_eq!(store.query(&stream(Stream::Stdout)).unwrap().total, 3);
}

#[test]
fn fields_of_json_and_logfmt() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let lines = [
        r#"{"msg":"slow","http":{"status":502},"ms":1200}"#,
        r#"{"msg":"fine","http":{"status":200},"ms":3}"#,
        "2026-01-12T10:00:00Z level=warn http.status=503 ms=40 msg=\"a http.status=1\"",
        "http.status is 599",
        "{\"http\":{\"status\":5",
    ];
    let all = written(&store, folder.path(), &lines.map(|line| ("api:a", line)));
    all["api:a"].detach(&store);
    let found = |conditions: &[&str]| messages(&store.query(&with_fields(conditions)).unwrap());
    assert_eq!(found(&["http.status>=500"]), [lines[0], lines[2]]);
    assert_eq!(found(&["http.status>=500", "ms<100"]), [lines[2]]);
    assert_eq!(found(&["http.status!=502"]), [lines[1], lines[2]], "who has no such field does not meet it");
    assert_eq!(found(&["msg~^s"]), [lines[0]]);
    assert!(found(&["http.status=1"]).is_empty());
}

fn place(line: &LogLine) -> (InstanceName, u64) {
    (line.instance.clone(), line.seq)
}

/// Every page from the newest on, the lines newest first.
fn all_pages(store: &LogStore, query: &LogQuery, mut between: impl FnMut()) -> (Vec<LogLine>, Vec<LogPage>) {
    let (mut lines, mut pages, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let page = store.query(&LogQuery { cursor: cursor.take(), ..query.clone() }).unwrap();
        lines.extend(page.lines.iter().rev().cloned());
        let text = page.next.to_string();
        let more = page.has_more;
        pages.push(page);
        if !more {
            return (lines, pages);
        }
        assert!(text.len() < 200, "{text}");
        cursor = Some(text.parse().unwrap());
        between();
    }
}

#[test]
fn pages_by_cursor_are_exact_while_lines_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut all: Vec<Instance> =
        (0..40).map(|n| Instance::attach(&store, folder.path(), &format!("api:i{n}"))).collect();
    // Many in the same moment, and some with lines of their own moments.
    for round in 0..30 {
        for (n, instance) in all.iter_mut().enumerate() {
            if n % 3 != 0 || round % 5 == 0 {
                instance.print(format!("line {round} of {n}\n").repeat(1 + n % 3));
                instance.stderr.write_all(format!("err {round} of {n}\n").as_bytes()).unwrap();
            }
        }
        // In part only: some come in a moment of their own.
        store.query(&query(1)).unwrap();
    }
    let lines_of = |n: u64| if n.is_multiple_of(3) { 6 * 2 } else { 30 * (2 + n % 3) };
    let mut printed: u64 = (0..40).map(lines_of).sum();
    for wanted in [query(7), LogQuery { search: Some("line".into()), ..query(13) }, with_fields(&["none=1"])]
    {
        // Also what came while the pages before were read.
        seen(&store, printed);
        let whole = store.query(&LogQuery { limit: 100_000, ..wanted.clone() }).unwrap();
        let mut turn = 0;
        let (lines, pages) = all_pages(&store, &wanted, || {
            turn += 1;
            printed += 1;
            all[turn % 40].print(format!("line that came later {turn}\n"));
        });
        let (got, expected): (Vec<_>, Vec<_>) =
            (lines.iter().map(place).collect(), whole.lines.iter().rev().map(place).collect());
        assert_eq!(got, expected);
        assert!(pages.iter().all(|page| page.total == whole.total), "that of the first page");
    }
    all.iter().for_each(|instance| instance.detach(&store));
}

fn shown(store: &LogStore, page: LogPage, before: u64, after: u64) -> Vec<String> {
    let context = Context { before, after, max_bytes: usize::MAX, deadline: None };
    let around = store.around(page.lines, &context).unwrap();
    assert!(!around.cut);
    let group = |group: &Vec<tenement_logs::Near>| {
        let lines = group
            .iter()
            .map(|near| format!("{}{}", if near.is_match { ">" } else { "" }, near.line.message()));
        lines.collect::<Vec<_>>().join(",")
    };
    let mut groups: Vec<_> = around.groups.iter().map(group).collect();
    // The last of both instances may have come in the same moment.
    groups.sort();
    groups
}

#[test]
fn lines_around_what_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    let mut other = Instance::attach(&store, folder.path(), "api:b");
    for n in 0..40 {
        match n {
            10 | 13 | 30 => app.stderr.write_all(format!("hit{n}\n").as_bytes()).unwrap(),
            _ => app.print(format!("{n}\n")),
        }
        // One order over both streams is what was seen.
        seen(&store, n + 1);
    }
    other.print("x\nhit\ny\n");
    app.detach(&store);
    other.detach(&store);
    let found = || store.query(&LogQuery { search: Some("hit".into()), ..query(50) }).unwrap();
    assert_eq!(
        shown(&store, found(), 2, 1),
        ["28,29,>hit30,31", "8,9,>hit10,11,12,>hit13,14", "x,>hit,y"],
        "what meets is one group"
    );
    assert_eq!(shown(&store, found(), 0, 0), [">hit", ">hit10", ">hit13", ">hit30"]);
    assert_eq!(shown(&store, found(), 0, 2), [">hit,y", ">hit10,11,12,>hit13,14,15", ">hit30,31,32"]);
    let wide = shown(&store, found(), 1000, 1000);
    assert_eq!((wide.len(), wide[0].split(',').count()), (2, 40));
    let small = Context { before: 5, after: 5, max_bytes: 3000, deadline: None };
    let around = store.around(found().lines, &small).unwrap();
    assert!(around.cut && around.groups.len() == 3, "{around:?}");
    assert_eq!(
        around.groups.iter().flatten().filter(|near| near.is_match).count(),
        4,
        "what was found is there"
    );
    assert!(around.groups[1].len() > 1 || around.groups[2].len() > 1, "the newest have what is around them");
}

#[test]
fn counted_over_time_by_level() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    for n in 0..3000 {
        app.print(format!("{} number {n}\n", ["INFO", "WARN", "ERROR"][n % 3]));
    }
    app.stderr.write_all(b"said on stderr\n").unwrap();
    app.detach(&store);
    let counted = |query: LogQuery, grain| store.histogram(&query, grain).unwrap();
    let whole = counted(query(1), Grain::Buckets(60));
    let sum = |at: usize| whole.buckets.iter().map(|bucket| bucket.levels[at]).sum::<u64>();
    assert_eq!((whole.total, [sum(0), sum(1), sum(2), sum(3)]), (3001, [0, 1000, 1000, 1001]));
    assert!((1..=60).contains(&whole.buckets.len()), "{}", whole.buckets.len());
    let starts: Vec<u64> = whole.buckets.iter().map(|bucket| bucket.start.0).collect();
    assert!(
        starts.windows(2).all(|pair| pair[1] - pair[0] == whole.interval)
            && starts[0].is_multiple_of(whole.interval)
    );
    let ago = |seconds: u64| Some(WallMillis(clock::wall().0 - seconds * 1000));
    let since = LogQuery { since: ago(3600), terms: vec!["warn".into()], ..query(1) };
    let hour = counted(since.clone(), Grain::Buckets(60));
    assert_eq!(
        (hour.interval, hour.total, hour.buckets.len()),
        (300_000, 1000, 13),
        "in lengths people can read"
    );
    let fixed = counted(since, Grain::Interval(Duration::from_secs(420)));
    assert_eq!((fixed.interval, fixed.total), (420_000, 1000));
    let none = counted(LogQuery { search: Some("nowhere".into()), ..query(1) }, Grain::Buckets(10));
    assert_eq!((none.total, none.buckets.len()), (0, 0));
    let year = LogQuery { since: ago(365 * 86_400), ..query(1) };
    let too_many = store.histogram(&year, Grain::Interval(Duration::from_secs(1)));
    assert!(matches!(too_many, Err(QueryError::Buckets(1000))));
}

fn exported(store: &LogStore, query: &LogQuery, mut meanwhile: impl FnMut()) -> Vec<LogLine> {
    let (mut export, mut lines) = (store.export(query).unwrap(), Vec::new());
    while let Some(batch) = export.read().unwrap() {
        assert!(batch.len() < 2000, "a batch is bounded: {}", batch.len());
        lines.extend(batch);
        meanwhile();
    }
    lines
}

#[test]
fn an_export_has_all_lines_once_oldest_first_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    // More than files are kept known of.
    let mut all: Vec<Instance> =
        (0..40).map(|n| Instance::attach(&store, folder.path(), &format!("api:i{n:02}"))).collect();
    for round in 0..50 {
        for (n, instance) in all.iter_mut().enumerate() {
            instance.print(format!("line {round} of {n}\n").repeat(5));
            if n % 4 == 0 {
                instance.stderr.write_all(b"err\n").unwrap();
            }
        }
        store.query(&query(1)).unwrap();
    }
    let expected = 40 * 50 * 5 + 10 * 50;
    seen(&store, expected as u64);
    let lines = exported(&store, &query(1), || all[3].print("later\n"));
    assert_eq!(lines.len(), expected);
    assert!(lines.iter().is_sorted_by_key(|line| line.timestamp));
    let mut next: BTreeMap<&InstanceName, u64> = BTreeMap::new();
    for line in &lines {
        let next = next.entry(&line.instance).or_default();
        assert_eq!(line.seq, *next, "each once, in the order of its instance");
        *next += 1;
    }
    let some = LogQuery { search: Some("of 7".into()), stream: Some(Stream::Stdout), ..query(1) };
    let found = exported(&store, &some, || {});
    assert!(found.len() == 250 && found.iter().all(|line| line.instance == name("api:i07")));
    let none = LogQuery { until: Some(WallMillis(1)), ..query(1) };
    assert!(exported(&store, &none, || {}).is_empty());
    all.iter().for_each(|instance| instance.detach(&store));
}

// faults: G10 A9
#[test]
fn who_takes_too_long_is_told_and_a_regular_expression_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    for n in 0..200 {
        app.print(format!("{}{n}\n", "ab".repeat(20_000)));
    }
    app.detach(&store);
    let late = |query: LogQuery| {
        let over = LogQuery { deadline: Some(clock::instant()), ..query };
        assert!(matches!(store.query(&over), Err(QueryError::Late)));
        assert!(matches!(store.histogram(&over, Grain::Buckets(60)), Err(QueryError::Late)));
    };
    late(query(50));
    let abandoned = LogQuery { abandoned: Some(Arc::new(AtomicBool::new(true))), ..query(50) };
    assert!(matches!(store.query(&abandoned), Err(QueryError::Late)), "nobody waits for it");
    assert!(matches!(store.histogram(&abandoned, Grain::Buckets(60)), Err(QueryError::Late)));
    late(LogQuery { terms: vec!["nowhere".into()], ..query(50) });
    // Linear in the text, and yet a step for each of thousands of states at each byte.
    let slow = LogQuery { grep: Some("(a|b|ab){1,3000}c$".into()), ..query(50) };
    late(slow.clone());
    let soon = LogQuery { deadline: Some(clock::instant() + Duration::from_millis(50)), ..slow };
    assert!(matches!(store.query(&soon), Err(QueryError::Late)));
    for bomb in ["(a+)+$", "(.*)*x", "(a|a)*b", "^(([a-z])+.)+[A-Z]([a-z])+$"] {
        let bomb = LogQuery { grep: Some(bomb.into()), limit: 1, ..query(1) };
        store.query(&bomb).unwrap();
    }
    for refused in ["((((a{100}){100}){100}){100})", "\\w{100000}", "(", "a{1,2", "(?<n>x)\\k<n>"] {
        let refused = LogQuery { grep: Some(refused.into()), ..query(50) };
        assert!(matches!(store.query(&refused), Err(QueryError::Grep(_))), "{refused:?}");
    }
}
