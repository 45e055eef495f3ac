//! Who comes again with a bookmark has every line once: over several instances, whatever ended in between.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use tenement_core::{name::InstanceName, time::WallMillis};
use tenement_logs::{Begin, Bookmark, Followed, Follower, Limits, LogQuery};

use tenement_runtime::clock;

use crate::support::{Instance, fifo, open, open_with, until};

const READER: &str = "TENEMENT_TEST_RESUMED_READER";
const BOOKMARK: &str = "TENEMENT_TEST_BOOKMARK";
const PATIENCE: Duration = Duration::from_secs(30);

/// As a reader keeps it: text.
fn at(text: &str) -> Begin {
    let (since, rest) = text.split_once('/').unwrap();
    let place = |one: &str| {
        let (name, place) = one.rsplit_once(':').unwrap();
        (name.parse::<InstanceName>().unwrap(), place.parse().unwrap())
    };
    let places = rest.split(',').filter(|one| !one.is_empty()).map(place).collect();
    Begin::At { places, since: Some(WallMillis(since.parse().unwrap())) }
}

/// Hands out lines one by one, each with the bookmark after it, until `take` has enough.
fn read(follower: &mut Follower, mut take: impl FnMut(&str, &str, u64) -> bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut bookmark, bell): (Bookmark, _) = (follower.bookmark(), follower.bell());
    loop {
        let batch = follower.read_shared().unwrap();
        for entry in &batch.entries {
            let Followed::Line(line) = entry else { panic!("{entry:?}") };
            bookmark.pass(line);
            if take(&bookmark.to_string(), &line.instance().to_string(), line.place().0) {
                return;
            }
        }
        if !batch.more {
            let rung = async { tokio::time::timeout(PATIENCE, bell.rung()).await };
            runtime.block_on(rung).expect("more comes");
        }
    }
}

/// Whether each line of each came once, in order, up to the last.
fn is_complete(seen: &BTreeMap<String, Vec<u64>>, instances: usize, lines: u64) -> bool {
    for (name, seqs) in seen {
        let first_wrong = seqs.windows(2).find(|two| two[1] != two[0] + 1);
        assert!(first_wrong.is_none(), "{name}: {first_wrong:?}");
        assert_eq!(seqs[0], 0, "{name}");
    }
    seen.len() == instances && seen.values().all(|seqs| seqs.len() as u64 == lines)
}

fn write(mut app: Instance, lines: usize) -> Instance {
    for n in 0..lines / 2 {
        app.print(format!("out {n}\n"));
        app.stderr.write_all(format!("err {n}\n").as_bytes()).unwrap();
        if n % 50 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    app
}

#[test]
fn over_many_reconnects_each_line_comes_once() {
    const LINES: u64 = 6000;
    let folder = tempfile::tempdir().unwrap();
    let store = open_with(folder.path(), Limits { segment_size: 50_000, ..Limits::default() });
    let quiet = Instance::attach(&store, folder.path(), "web:quiet");
    let mut bookmark = store.follow(LogQuery::default(), &Begin::Now).unwrap().bookmark().to_string();
    let apps = ["api:a", "api:b", "api:c", "web:d"].map(|name| Instance::attach(&store, folder.path(), name));
    // Somebody else follows too, so that what was read is shared.
    let _other = store.follow(LogQuery::default(), &Begin::Now).unwrap();
    let writing = apps.map(|app| thread::spawn(move || write(app, LINES as usize)));
    let (mut seen, mut round) = (BTreeMap::<String, Vec<u64>>::new(), 0_u64);
    while !is_complete(&seen, 4, LINES) {
        round += 1;
        let mut left = 1 + round * 7919 % 400;
        let mut follower = store.follow(LogQuery::default(), &at(&bookmark)).unwrap();
        read(&mut follower, |mark, name, seq| {
            seen.entry(name.to_owned()).or_default().push(seq);
            mark.clone_into(&mut bookmark);
            left -= 1;
            left == 0 || seen.values().map(|seqs| seqs.len() as u64).sum::<u64>() == 4 * LINES
        });
    }
    assert!(round > 50, "{round}");
    for one in writing {
        one.join().unwrap().detach(&store);
    }
    drop(quiet);
    let mut follower = store.follow(LogQuery::default(), &at(&bookmark)).unwrap();
    assert!(follower.read().unwrap().entries.is_empty());
}

#[test]
fn one_that_was_erased_and_made_anew_begins_with_its_first_line() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let print = |name: &str, text: &str| {
        let mut app = Instance::attach(&store, folder.path(), name);
        app.print(text);
        app.detach(&store);
    };
    print("api:a", "1\n2\n3\n");
    print("api:b", "1\n");
    let mut follower = store.follow(LogQuery::default(), &Begin::Newest(10)).unwrap();
    let (mut bookmark, mut left) = (String::new(), 4);
    read(&mut follower, |mark, _, _| {
        mark.clone_into(&mut bookmark);
        left -= 1;
        left == 0
    });
    drop(follower);
    store.purge(&"api:a".parse().unwrap()).unwrap();
    // Times are in milliseconds.
    let erased = clock::wall();
    until("time went on", || clock::wall() > erased);
    print("api:a", "4\n5\n6\n7\n");
    print("api:b", "2\n");
    let mut seen = Vec::new();
    let mut follower = store.follow(LogQuery::default(), &at(&bookmark)).unwrap();
    for entry in follower.read().unwrap().entries {
        let Followed::Line(line) = entry else { panic!() };
        seen.push(format!("{} {}", line.instance, line.message()));
    }
    assert_eq!(seen, ["api:a 4", "api:a 5", "api:a 6", "api:a 7", "api:b 2"]);
}

/// Not a test by itself: what the test below starts and kills.
#[test]
fn resumed_reader() {
    let Some(folder) = std::env::var_os(READER).map(PathBuf::from) else { return };
    let store = open_with(&folder, Limits { segment_size: 16 << 10, ..Limits::default() });
    let begin = std::env::var(BOOKMARK).ok().map_or(Begin::Now, |text| at(&text));
    let mut follower = store.follow(LogQuery::default(), &begin).unwrap();
    println!("begins {}", follower.bookmark());
    let _apps = NAMES.map(|name| Instance::attach(&store, &folder, name));
    read(&mut follower, |mark, name, seq| {
        println!("line {mark} {name} {seq}");
        false
    });
}

const NAMES: [&str; 3] = ["api:a", "api:b", "web:c"];

/// Lines that came before it was killed, after about so many.
fn follow_and_kill(
    folder: &Path,
    bookmark: &mut Option<String>,
    most: usize,
    seen: &mut BTreeMap<String, Vec<u64>>,
) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "resume::resumed_reader", "--nocapture"])
        .env(READER, folder)
        .stdout(Stdio::piped());
    if let Some(bookmark) = bookmark {
        command.env(BOOKMARK, bookmark);
    }
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut count = 0;
    for line in lines {
        let words: Vec<_> = line.rsplit("line ").next().unwrap().split(' ').collect();
        match (&words[..], line.split_once("begins ")) {
            ([mark, name, seq], None) if line.contains("line ") => {
                seen.entry((*name).to_owned()).or_default().push(seq.parse().unwrap());
                *bookmark = Some((*mark).to_owned());
                count += 1;
            }
            (_, Some((_, mark))) => *bookmark = Some(mark.to_owned()),
            _ => {}
        }
        if count == most {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

// faults: G9
#[test]
fn over_kills_of_the_daemon_each_line_comes_once() {
    const LINES: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let writing = NAMES.map(|name| {
        let path = |stream: &str| folder.path().join(format!("{}.{stream}", name.replace(':', "-")));
        let [mut out, mut err] = ["out", "err"].map(|stream| fifo(&path(stream)));
        thread::spawn(move || {
            for n in 0..LINES / 2 {
                out.1.write_all(format!("out {n}\n").as_bytes()).unwrap();
                err.1.write_all(format!("err {n}\n").as_bytes()).unwrap();
            }
            (out, err)
        })
    });
    let (mut bookmark, mut seen, mut round) = (None, BTreeMap::new(), 0);
    while !is_complete(&seen, 3, LINES as u64) {
        round += 1;
        let left = 3 * LINES - seen.values().map(Vec::len).sum::<usize>();
        follow_and_kill(folder.path(), &mut bookmark, left.min(round * 997 % 7000 + 1), &mut seen);
    }
    assert!(round > 5, "{round}");
    writing.into_iter().for_each(|one| drop(one.join().unwrap()));
}
