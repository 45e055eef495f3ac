//! What one tenant can't do to another's log.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use tenement_logs::{Level, LogQuery, Stream};

use crate::support::{Instance, each, messages, open, open_with, query, until};

// faults: G5
#[test]
fn where_a_line_comes_from_is_not_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    app.print("fine\n2026-01-01T00:00:00.000Z web:victim ERROR daemon: it is on fire\n");
    app.print(
        "{\"level\":\"error\",\"instance\":\"web:victim\",\"stream\":\"stderr\",\"time\":0,\"msg\":\"x\"}\n",
    );
    app.detach(&store);
    let page = store.query(&query(50)).unwrap();
    assert_eq!(page.total, 3);
    for line in &page.lines {
        assert_eq!((line.instance.to_string().as_str(), line.stream), ("api:a", Stream::Stdout));
        assert!(line.timestamp >= page.lines[0].timestamp, "the time is that of its arrival");
    }
    // Its own level is all that a line may choose.
    assert_eq!(page.lines[2].level, Level::Error);
    let victim = LogQuery { instance: Some("web:victim".parse().unwrap()), ..query(50) };
    assert_eq!(store.query(&victim).unwrap().total, 0);
}

// faults: G6
#[test]
fn a_flood_of_one_leaves_the_others_their_turn_and_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let bound = 32 << 20;
    let store = open_with(folder.path(), each(bound));
    let mut flood = Instance::attach(&store, folder.path(), "api:flood");
    let mut quiet = Instance::attach(&store, folder.path(), "api:quiet");
    let (mut pipe, done) = (flood.stdout.try_clone().unwrap(), Arc::new(AtomicBool::new(false)));
    let stop = Arc::clone(&done);
    let writer = thread::spawn(move || {
        let lines = "a line of a talkative instance, again and again\n".repeat(1000);
        while !stop.load(Ordering::Relaxed) {
            pipe.write_all(lines.as_bytes()).unwrap();
        }
    });
    let of = |name: &str| LogQuery { instance: Some(name.parse().unwrap()), ..query(1000) };
    until("flooded", || store.stats()[&flood.name].bytes > 16 << 20);
    for n in 0..100 {
        quiet.print(format!("quiet {n}\n"));
        // Each line is there while the flood goes on.
        until("kept", || store.query(&of("api:quiet")).unwrap().total == n + 1);
    }
    done.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    flood.print("the end\n");
    flood.detach(&store);
    quiet.detach(&store);
    let kept = messages(&store.query(&of("api:quiet")).unwrap());
    assert_eq!(kept, (0..100).map(|n| format!("quiet {n}")).collect::<Vec<_>>());
    assert!(store.stats()[&flood.name].bytes <= bound);
}

// faults: G6 G7
#[test]
fn a_process_that_outlives_its_run_and_writes_on_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    // So small a limit that taking in is slower than writing.
    let store = open_with(folder.path(), each(16 << 10));
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    let (done, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let mut pipe = app.stdout.try_clone().unwrap();
            let (done, written) = (Arc::clone(&done), Arc::clone(&written));
            thread::spawn(move || {
                let lines = "again and again\n".repeat(512);
                while !done.load(Ordering::Relaxed) {
                    pipe.write_all(lines.as_bytes()).unwrap();
                    written.fetch_add(lines.len(), Ordering::Relaxed);
                }
            })
        })
        .collect();
    until("flooded", || store.stats()[&app.name].lines > 100);
    let before = written.load(Ordering::Relaxed);
    app.detach(&store);
    let meanwhile = written.load(Ordering::Relaxed) - before;
    assert!(meanwhile < 1 << 20, "a few pipes full, not as long as somebody writes: {meanwhile}");
    // The pipe is full and stays so until there is a run again, which gets what is in it.
    let again = Instance::attach(&store, folder.path(), "api:a");
    done.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    app.print("the end\n");
    again.detach(&store);
    assert_eq!(store.last_lines(&app.name, 1), ["the end"]);
}
