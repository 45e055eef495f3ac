//! What one tenant can't do to another's log.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
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
