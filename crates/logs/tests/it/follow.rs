//! Who follows gets every line once, and holds nobody up.

use std::{
    io::Write,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    task::{Context, Waker},
    thread,
    time::Duration,
};

use tenement_logs::{Begin, Followed, Follower, Level, LevelSet, LogQuery, LogStore};

use crate::support::{Instance, each, open, open_with, query};

/// For what has to happen; reached only when it does not.
const PATIENCE: Duration = Duration::from_secs(120);

/// Reads until it has seen enough.
pub(crate) fn read_until(follower: &mut Follower, enough: impl Fn(&[Followed]) -> bool) -> Vec<Followed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut seen = Vec::new();
    let bell = follower.bell();
    while !enough(&seen) {
        let batch = follower.read().unwrap();
        seen.extend(batch.entries);
        if !batch.more && !enough(&seen) {
            let rung = async { tokio::time::timeout(PATIENCE, bell.rung()).await };
            runtime.block_on(rung).unwrap_or_else(|_| panic!("no more came after {} entries", seen.len()));
        }
    }
    seen
}

fn text(entry: &Followed) -> String {
    match entry {
        Followed::Line(line) => line.message().into_owned(),
        Followed::Dropped { lines, .. } => format!("{lines} dropped"),
    }
}

pub(crate) fn texts(entries: &[Followed]) -> Vec<String> {
    entries.iter().map(text).collect()
}

pub(crate) fn ends_with(last: &str) -> impl Fn(&[Followed]) -> bool {
    move |seen| seen.last().is_some_and(|entry| text(entry) == last)
}

/// Lines and dropped lines.
fn counted(entries: &[Followed]) -> (u64, u64) {
    entries.iter().fold((0, 0), |(lines, dropped), entry| match entry {
        Followed::Line(_) => (lines + 1, dropped),
        Followed::Dropped { lines: more, .. } => (lines, dropped + more),
    })
}

fn is_ringing(follower: &Follower) -> bool {
    let bell = follower.bell();
    let mut rung = std::pin::pin!(bell.rung());
    rung.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn follow(store: &LogStore, begin: &Begin) -> Follower {
    store.follow(LogQuery::default(), begin).unwrap()
}

#[test]
fn nothing_is_lost_or_doubled_between_what_was_and_what_comes() {
    let folder = tempfile::tempdir().unwrap();
    // Segments end often.
    let store =
        open_with(folder.path(), tenement_logs::Limits { segment_size: 100_000, ..Default::default() });
    let writers: Vec<_> = ["api:a", "api:b"].map(|name| Instance::attach(&store, folder.path(), name)).into();
    let writing = writers.into_iter().map(|mut app| {
        thread::spawn(move || {
            for n in 0..15_000 {
                app.print(format!("out {n} {}\n", "x".repeat(n % 90)));
                app.stderr.write_all(format!("err {n}\n").as_bytes()).unwrap();
            }
            app
        })
    });
    let writing: Vec<_> = writing.collect();
    for backlog in [0, 10, 1000] {
        let begin = if backlog == 0 { Begin::Now } else { Begin::Newest(backlog) };
        let mut follower = follow(&store, &begin);
        let last = |seen: &[Followed], name: &str| {
            let of = |entry: &&Followed| matches!(entry, Followed::Line(line) if line.instance.to_string() == name);
            seen.iter()
                .rev()
                .find(of)
                .is_none_or(|entry| matches!(entry, Followed::Line(line) if line.seq == 29_999))
        };
        // Perhaps everything was written before it began; then what is there already has to do.
        let seen = match backlog {
            0 => follower.read().unwrap().entries,
            _ => read_until(&mut follower, |seen| {
                !seen.is_empty() && last(seen, "api:a") && last(seen, "api:b")
            }),
        };
        for name in ["api:a", "api:b"] {
            let seqs: Vec<u64> = seen
                .iter()
                .filter_map(|entry| match entry {
                    Followed::Line(line) => (line.instance.to_string() == name).then_some(line.seq),
                    Followed::Dropped { .. } => panic!("{entry:?}"),
                })
                .collect();
            assert!(seqs.windows(2).all(|two| two[1] == two[0] + 1), "each line once, in order");
        }
        assert!(counted(&seen).0 >= backlog as u64);
    }
    let apps: Vec<_> = writing.into_iter().map(|one| one.join().unwrap()).collect();
    for app in &apps {
        app.detach(&store);
    }
    let mut all = follow(
        &store,
        &Begin::From {
            places: [(apps[0].name.clone(), 1000)].into(),
            since: Some(tenement_core::time::WallMillis(u64::MAX)),
        },
    );
    let seen = read_until(&mut all, |seen| seen.len() == 29_000);
    let page = store.query(&LogQuery { instance: Some(apps[0].name.clone()), ..query(29_000) }).unwrap();
    let lines: Vec<_> = page.lines.into_iter().map(Followed::Line).collect();
    assert_eq!(seen, lines, "as a query shows them");
}

#[test]
fn who_comes_again_gets_what_it_has_not_read_however_much_that_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let [mut a, mut b] = ["api:a", "api:b"].map(|name| Instance::attach(&store, folder.path(), name));
    for n in 0..90_000 {
        a.print(format!("a {n}\n"));
    }
    b.print("b 0\n");
    for app in [&a, &b] {
        app.detach(&store);
    }
    let since = Some(store.query(&query(1)).unwrap().lines[0].timestamp);
    let seen = |places: &[(&Instance, u64)], since, last: &str| {
        let places = places.iter().map(|(app, place)| (app.name.clone(), *place)).collect();
        texts(&read_until(&mut follow(&store, &Begin::From { places, since }), ends_with(last)))
    };
    let all: Vec<_> = (7..90_000).map(|n| format!("a {n}")).collect();
    let only_a = seen(&[(&a, 7), (&b, 1)], None, "a 89999");
    assert!(only_a == all, "{} {:?}", only_a.len(), only_a.first());
    assert_eq!(seen(&[(&a, 90_000)], None, "b 0"), ["b 0"]);
    assert_eq!(seen(&[(&a, 90_000)], since, "b 0"), ["b 0"]);
    assert_eq!(seen(&[(&a, 90_000), (&b, 9)], None, "b 0"), ["b 0"], "erased, and made anew");
    let later = Some(tenement_core::time::WallMillis(u64::MAX));
    let mut late = follow(&store, &Begin::From { places: [].into(), since: later });
    assert!(late.read().unwrap().entries.is_empty());
}

// faults: W4
#[test]
fn who_reads_too_slowly_is_told_how_much_was_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    let mut follower = follow(&store, &Begin::Now);
    assert_eq!(follower.read().unwrap().entries, []);
    for n in 0..200_000 {
        app.print(format!("{n}\n"));
    }
    app.detach(&store);
    let seen = read_until(&mut follower, ends_with("199999"));
    assert!(matches!(seen[0], Followed::Dropped { .. }));
    let (lines, dropped) = counted(&seen);
    assert_eq!((lines + dropped, lines), (200_000, 1000), "the newest");
    assert_eq!(seen.iter().filter(|entry| matches!(entry, Followed::Dropped { .. })).count(), 1);
    let passed_over: u64 = store.stats().values().map(|stats| stats.passed_over).sum();
    assert_eq!(passed_over, dropped, "and counted");
}

#[test]
fn a_patient_reader_gets_every_line_and_knows_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    let mut follower = follow(&store, &Begin::Now).patiently();
    for n in 0..200_000 {
        app.print(format!("{n}\n"));
    }
    app.detach(&store);
    assert_eq!(follower.places()[&app.name].next, 0, "it has read nothing");
    let seen = read_until(&mut follower, ends_with("199999"));
    assert_eq!(counted(&seen), (200_000, 0));
    assert_eq!(follower.places()[&app.name].next, 200_000);
    assert_eq!(store.ends(), [(app.name.clone(), 200_000)].into());
    store.purge(&app.name).unwrap();
    assert!(follower.places().is_empty(), "erased");
}

#[test]
fn what_retention_took_before_it_was_read_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), each(64 << 10));
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    let mut follower = follow(&store, &Begin::Now);
    for n in 0..20_000 {
        app.print(format!("{n}\n"));
    }
    app.detach(&store);
    let seen = read_until(&mut follower, ends_with("19999"));
    let (lines, dropped) = counted(&seen);
    assert_eq!(lines + dropped, 20_000);
    assert!(dropped > 0 && lines > 1000, "{lines} {dropped}");
}

#[test]
fn a_line_comes_when_it_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    app.print("one\ntw");
    let mut follower = follow(&store, &Begin::Newest(50));
    assert_eq!(texts(&read_until(&mut follower, ends_with("one"))), ["one"]);
    app.print("o\nthree");
    assert_eq!(texts(&read_until(&mut follower, ends_with("two"))), ["two"]);
    app.detach(&store);
    assert_eq!(texts(&read_until(&mut follower, ends_with("three"))), ["three"], "with its instance");
}

#[test]
fn a_long_line_comes_in_its_parts() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    let mut follower = follow(&store, &Begin::Now);
    app.print(format!("{}\nend\n", "x".repeat(600_000)));
    let seen = read_until(&mut follower, ends_with("end"));
    let bytes: usize = seen.iter().map(|entry| text(entry).len()).sum();
    assert_eq!((seen.len(), bytes), (11, 600_003));
}

#[test]
fn lines_of_all_kinds_come_as_a_query_shows_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    let mut follower = follow(&store, &Begin::Now);
    for n in 0..3000_usize {
        let mut text =
            format!("line {n} {}\r\nTraceback (most recent call last):\n  at {n}\n", "é".repeat(n % 60));
        text.push_str(if n % 7 == 0 { "KeyError\nafter\n" } else { "\n" });
        if n % 500 == 250 {
            text.push_str(&format!("{}\n", "ö".repeat(90_000)));
        }
        app.print(text);
    }
    app.print("end\n");
    let seen = read_until(&mut follower, ends_with("end"));
    let page = store.query(&query(100_000)).unwrap();
    let lines: Vec<_> = page.lines.into_iter().map(Followed::Line).collect();
    assert!(lines.len() > 12_000);
    assert_eq!(seen, lines);
}

#[test]
fn another_question_goes_on_where_the_first_one_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let [mut a, mut b] = ["api:a", "web:b"].map(|name| Instance::attach(&store, folder.path(), name));
    b.print("before\n");
    b.detach(&store);
    let only = |name: &str| LogQuery { instance: Some(name.parse().unwrap()), ..LogQuery::default() };
    let mut follower = store.follow(only("api:a"), &Begin::Newest(50)).unwrap();
    a.print("info\nerror: bad\n");
    a.detach(&store);
    follower.ask(LogQuery { levels: LevelSet::at_least(Level::Error), ..LogQuery::default() }).unwrap();
    assert_eq!(texts(&read_until(&mut follower, ends_with("error: bad"))), ["error: bad"]);
    assert!(follower.ask(LogQuery { grep: Some("(".into()), ..LogQuery::default() }).is_err());
    let mut late = Instance::attach(&store, folder.path(), "new:c");
    late.print("error: first\n");
    assert_eq!(texts(&read_until(&mut follower, ends_with("error: first"))), ["error: first"]);
}

#[test]
fn bells_ring_for_what_is_followed_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let [mut a, b] = ["api:a", "web:b"].map(|name| Instance::attach(&store, folder.path(), name));
    let of = |query| {
        let mut follower = store.follow(query, &Begin::Now).unwrap();
        follower.read().unwrap();
        assert!(is_ringing(&follower), "a new one");
        follower
    };
    let all = of(LogQuery::default());
    let service = of(LogQuery { service: Some("api".parse().unwrap()), ..LogQuery::default() });
    let other = of(LogQuery { instance: Some(b.name.clone()), ..LogQuery::default() });
    a.print("x\n");
    a.detach(&store);
    assert!(is_ringing(&all) && is_ringing(&service) && !is_ringing(&other));
}

#[test]
fn an_instance_that_was_erased_and_came_again_is_followed_from_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let again = |text: &str| {
        let mut app = Instance::attach(&store, folder.path(), "api:a");
        app.print(text);
        app.detach(&store);
    };
    let mut follower = follow(&store, &Begin::Now);
    again("1\n2\n3\n");
    assert_eq!(texts(&read_until(&mut follower, ends_with("3"))), ["1", "2", "3"]);
    store.purge(&"api:a".parse().unwrap()).unwrap();
    again("4\n");
    assert_eq!(texts(&read_until(&mut follower, ends_with("4"))), ["4"]);
}

// faults: A9
#[test]
fn words_are_looked_for_whatever_their_case() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    app.print(
        "Database ERROR: can't connect (pg)\ndatabase fine\nerror elsewhere\nÄrger mit der Datenbank\n",
    );
    app.detach(&store);
    let found = |terms: &[&str]| {
        let terms = terms.iter().map(ToString::to_string).collect();
        store.query(&LogQuery { terms, ..query(50) }).unwrap().total
    };
    assert_eq!(found(&["database", "error"]), 1);
    assert_eq!(found(&["DATABASE"]), 2);
    assert_eq!(found(&["(PG)"]), 1);
    assert_eq!(found(&["(a+)+$"]), 0);
    assert_eq!(found(&["ärger"]), 1);
    assert_eq!(found(&[]), 4);
}

/// Set once it is dropped, also by a test that fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn who_asks_for_lines_that_just_came_takes_no_bell_from_who_follows() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    let mut follower = follow(&store, &Begin::Now);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _over = Over(&over);
        // What is asked for is described at once, and not when it would be otherwise.
        scope.spawn(|| {
            while !over.load(Relaxed) {
                store.query(&query(1)).unwrap();
            }
        });
        for n in 0..1000 {
            app.print(format!("line {n}\n"));
            read_until(&mut follower, ends_with(&format!("line {n}")));
        }
    });
}
