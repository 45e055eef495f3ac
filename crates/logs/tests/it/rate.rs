//! Who writes more lines than it may.

use std::{
    io::Write,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use tenement_core::slot::RunId;
use tenement_logs::{Begin, Incident, Level, LevelSet, Limits, LogLine, LogQuery, LogStore, StreamLimits};

use crate::support::{Instance, logs, messages, open_with, query, until};

fn limited(rate: u32) -> Limits {
    let loud = StreamLimits { rate: Some(rate), ..StreamLimits::default() };
    Limits { services: [("loud".parse().unwrap(), loud)].into(), ..Limits::default() }
}

fn all(store: &LogStore, app: &Instance) -> Vec<LogLine> {
    store.query(&LogQuery { instance: Some(app.name.clone()), ..query(1_000_000) }).unwrap().lines
}

/// The lines that notes say are missing.
fn missing(lines: &[LogLine]) -> u64 {
    let count = |line: &LogLine| line.message().split(' ').next().unwrap().parse::<u64>().unwrap();
    lines.iter().filter(|line| line.note).map(count).sum()
}

// faults: G5 G6
#[test]
fn what_is_too_much_is_left_out_counted_and_said() {
    const LINES: u64 = 200_000;
    let folder = tempfile::tempdir().unwrap();
    let told: Arc<Mutex<Vec<Incident>>> = Arc::default();
    let tell = Arc::clone(&told);
    let observer = move |incident: &Incident| tell.lock().unwrap().push(incident.clone());
    let store = LogStore::open_observed(logs(folder.path()), limited(500), Box::new(observer)).unwrap();
    let mut loud = Instance::attach(&store, folder.path(), "loud:a");
    let mut quiet = Instance::attach(&store, folder.path(), "quiet:a");
    loud.print("9 lines (1 KiB) left out: over log_rate_limit = 500/s\n");
    for n in 1..LINES {
        loud.print(format!("line {n}\n"));
        if n % 1000 == 0 {
            quiet.print(format!("line {n}\n"));
        }
    }
    loud.detach(&store);
    quiet.detach(&store);
    let lines = all(&store, &loud);
    let (notes, kept): (Vec<_>, Vec<_>) = lines.iter().cloned().partition(|line| line.note);
    assert_eq!(kept.len() as u64 + missing(&lines), LINES, "every line is there or counted");
    assert!(!kept[0].note && kept[0].level == Level::Info, "no application can write a note");
    assert!(kept[1..].iter().all(|line| line.message().starts_with("line ")), "no half lines");
    assert!(!notes.is_empty() && notes.iter().all(|note| note.level == Level::Warn));
    assert!(notes[0].message().ends_with(" left out: over log_rate_limit = 500/s"), "{}", notes[0].message());
    assert!(lines.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq), "places without a gap");
    let stats = store.stats()[&loud.name];
    assert_eq!(stats.lines_left_out, missing(&lines));
    assert_eq!(all(&store, &quiet).len(), 199);
    let one = Incident::RateLimited { instance: loud.name.clone(), limit: 500 };
    assert_eq!(*told.lock().unwrap(), [one], "once");
    let found = LogQuery { search: Some("left out".into()), ..query(1000) };
    assert_eq!(store.query(&found).unwrap().total, notes.len() as u64 + 1);
    drop(store);
    let again = open_with(folder.path(), limited(500));
    assert_eq!(all(&again, &loud), lines, "notes are notes afterwards");
}

#[test]
fn last_lines_are_waited_for_when_who_takes_them_in_is_late() {
    let folder = tempfile::tempdir().unwrap();
    let (tell, told) = mpsc::channel();
    // As if this machine did not run it.
    let observer = move |_: &Incident| {
        tell.send(()).unwrap();
        thread::sleep(Duration::from_millis(1500));
    };
    let store = LogStore::open_observed(logs(folder.path()), limited(1), Box::new(observer)).unwrap();
    let mut loud = Instance::attach(&store, folder.path(), "loud:a");
    let mut quiet = Instance::attach(&store, folder.path(), "quiet:a");
    loud.print("one\ntwo\n");
    told.recv().unwrap();
    quiet.print("its last words\n");
    store.take_in([&quiet.name]);
    let last = store.last_words(&quiet.name, RunId(1), 5, 1000);
    assert_eq!(last.map(|last| last.lines), Some(vec!["its last words".to_owned()]));
}

#[test]
fn last_lines_of_many_are_waited_for_once() {
    let folder = tempfile::tempdir().unwrap();
    let ((tell, told), (go_on, wait)) = (mpsc::channel(), mpsc::channel::<()>());
    let wait = Mutex::new(wait);
    // Until the end of this test, nothing is taken in.
    let observer = move |_: &Incident| {
        tell.send(()).unwrap();
        let _ = wait.lock().unwrap().recv();
    };
    let store = LogStore::open_observed(logs(folder.path()), limited(1), Box::new(observer)).unwrap();
    let mut loud = Instance::attach(&store, folder.path(), "loud:a");
    let all: Vec<_> =
        (0..160).map(|id| Instance::attach(&store, folder.path(), &format!("quiet:{id}"))).collect();
    loud.print("one\ntwo\n");
    told.recv().unwrap();
    store.take_in(all.iter().map(|one| &one.name));
    assert!(all.iter().all(|one| store.last_words(&one.name, RunId(1), 5, 1000).is_none()));
    drop(go_on);
}

#[test]
fn a_note_comes_though_nothing_else_does_and_followers_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), limited(3));
    let mut app = Instance::attach(&store, folder.path(), "loud:a");
    let mut follower = store.follow(query(1), &Begin::Newest(0)).unwrap();
    app.print("one\ntwo\nthree\nfour\nfive\n");
    let mut seen = Vec::new();
    until("noted", || {
        seen.extend(follower.read().unwrap().entries);
        seen.len() == 4
    });
    let text = format!("{seen:?}");
    assert!(text.contains("note: true"), "{text}");
    assert_eq!(
        messages(&store.query(&query(10)).unwrap())[3],
        "2 lines (10 B) left out: over log_rate_limit = 3/s"
    );
}

#[test]
fn the_limit_comes_and_goes_while_lines_do() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), Limits::default());
    let mut app = Instance::attach(&store, folder.path(), "loud:a");
    app.print("begun ");
    until("taken in", || store.stats()[&app.name].bytes_taken == 6);
    store.set_limits(limited(1));
    app.print("before\nkept\nleft out\nleft ");
    until("left out", || store.stats()[&app.name].bytes_left_out == 14);
    store.set_limits(Limits::default());
    app.print("out\nkept again\n");
    app.detach(&store);
    let lines = messages(&store.query(&query(10)).unwrap());
    assert_eq!(lines[..2], ["begun before", "kept"]);
    assert!(lines[2].starts_with("2 lines (") && lines[3] == "kept again", "{lines:?}");
}

// faults: G6
#[test]
fn one_that_writes_without_end_takes_nothing_from_the_others() {
    let folder = tempfile::tempdir().unwrap();
    for limits in [limited(1000), Limits { max_size: 8 << 20, ..Limits::default() }] {
        let folder = folder.path().join(format!("{}", limits.services.len()));
        std::fs::create_dir(&folder).unwrap();
        let store = open_with(&folder, limits);
        let loud = Instance::attach(&store, &folder, "loud:a");
        let mut quiet = Instance::attach(&store, &folder, "quiet:a");
        let mut pipe = loud.stdout.try_clone().unwrap();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let flood = thread::spawn(move || {
            let lines = "a line of one that never stops\n".repeat(2000);
            let mut written = 0_u64;
            while stopped.try_recv().is_err() {
                pipe.write_all(lines.as_bytes()).unwrap();
                written += lines.len() as u64;
            }
            written
        });
        let flooded = || {
            let stats = store.stats()[&loud.name];
            stats.bytes_taken + stats.bytes_left_out
        };
        for n in 0..200 {
            quiet.print(format!("line {n}\n"));
            until("taken in", || store.stats()[&quiet.name].lines_taken == n + 1);
        }
        stop.send(()).unwrap();
        let written = flood.join().unwrap();
        loud.detach(&store);
        quiet.detach(&store);
        assert_eq!(flooded(), written, "every byte is taken or counted");
        let kept =
            messages(&store.query(&LogQuery { instance: Some(quiet.name.clone()), ..query(500) }).unwrap());
        assert_eq!(kept, (0..200).map(|n| format!("line {n}")).collect::<Vec<_>>());
    }
}

#[test]
fn a_note_is_one_in_a_packed_segment_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), Limits { segment_size: 16 << 10, ..limited(1000) });
    let mut app = Instance::attach(&store, folder.path(), "loud:a");
    let mut print =
        |lines: usize| (0..lines).for_each(|n| app.print(format!("a line of some length, number {n}\n")));
    // Those of one second, wherever it begins.
    until("noted", || {
        print(1100);
        let found = LogQuery { levels: LevelSet::at_least(Level::Warn), ..query(1) };
        store.query(&found).unwrap().lines.last().is_some_and(|line| line.note)
    });
    print(1000);
    app.detach(&store);
    let lines = all(&store, &app);
    let packed = || {
        let files = std::fs::read_dir(logs(folder.path()).join("loud/a")).unwrap().flatten();
        let count = |extension: &str, files: &[std::path::PathBuf]| {
            files.iter().filter(|file| file.extension().is_some_and(|found| found == extension)).count()
        };
        let files: Vec<_> = files.map(|file| file.path()).collect();
        // What still grows is none that is packed.
        count("zst", &files) > 3 && count("log", &files) == 2
    };
    until("packed", packed);
    assert_eq!(all(&store, &app), lines);
    let levels = LevelSet::at_least(Level::Warn);
    let found = store.query(&LogQuery { levels, ..query(10) }).unwrap().lines;
    assert_eq!(found.iter().filter(|line| line.note).count(), lines.iter().filter(|line| line.note).count());
    drop(store);
    assert_eq!(all(&open_with(folder.path(), limited(1000)), &app), lines);
}
