//! The reader is killed at a certain system call: while it closes, packs or erases.

use std::{
    fs::{self, File},
    io::Write,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::mpsc,
    thread::{self, JoinHandle},
};

use tenement_core::name::InstanceName;
use tenement_logs::{LogStore, Stream};

use crate::{
    killed::open,
    support::{Instance, fifo, logs, messages, query, until},
};

const FOLDER: &str = "TENEMENT_TEST_KILLED_AT";
/// Lines that are written to each stream for a reader: more than a segment has.
const TURN: usize = 4000;

/// What a reader calls when it closes and packs segments.
const CALLS: [&str; 6] =
    ["splice", "pwrite64", "ftruncate", "fsync", "?rename,?renameat,?renameat2", "?unlink,?unlinkat"];
/// The first calls and some later ones.
const TIMES: [u32; 7] = [1, 2, 3, 4, 5, 6, 8];

/// Not a test by itself: what a test below has killed. It ends by itself if it is not.
#[test]
fn reader() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let store = open(&folder, None);
    let app = Instance::attach(&store, &folder, "api:a");
    until("taken in", || {
        let stats = store.stats()[&app.name];
        stats.lines_taken as usize > TURN && stats.unindexed == 0
    });
}

/// As [`reader`], and does not end by itself.
#[test]
fn idler() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let store = open(&folder, None);
    let mut app = Instance::attach(&store, &folder, "api:a");
    app.print("one line\n");
    loop {
        thread::park();
    }
}

/// As [`reader`].
#[test]
fn purger() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let store = open(&folder, None);
    store.purge(&name()).unwrap();
    println!("purged");
}

fn name() -> InstanceName {
    "api:a".parse().unwrap()
}

/// Runs one of them until it makes one of these calls so many times in one of its threads.
fn killed_at(test: &str, folder: &Path, calls: &str, times: u32) -> Output {
    Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null"])
        .args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:signal=KILL:when={times}")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FOLDER, folder)
        .output()
        .expect("strace is there")
}

/// Writes numbered lines to a stream, so many whenever it is told to; the ends, and how many there were.
fn writer(folder: &Path, stream: &str) -> (mpsc::Sender<()>, JoinHandle<(OwnedFd, File, usize)>) {
    let (keep, mut pipe) = fifo(&folder.join(format!("api-a.{stream}")));
    let (go, told) = mpsc::channel();
    let writing = thread::spawn(move || {
        let mut written = 0;
        while told.recv().is_ok() {
            (written..written + TURN).for_each(|n| pipe.write_all(line(n).as_bytes()).unwrap());
            written += TURN;
        }
        (keep, pipe, written)
    });
    (go, writing)
}

fn line(n: usize) -> String {
    format!("line {n:07}\n")
}

/// The numbers of what is there of a stream.
fn numbers(store: &LogStore, stream: Stream) -> Vec<usize> {
    let page = store.query(&query(10_000_000)).unwrap();
    assert!(page.lines.windows(2).all(|pair| pair[0].seq < pair[1].seq), "each has a place of its own");
    let lines = page.lines.iter().filter(|line| line.stream == stream);
    lines.map(|line| line.message().strip_prefix("line ").unwrap().parse().unwrap()).collect()
}

// faults: G9
#[test]
fn a_reader_that_is_killed_while_it_closes_and_packs_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let writers = ["out", "err"].map(|stream| writer(folder.path(), stream));
    let mut killed = 0;
    for calls in CALLS {
        for times in TIMES {
            writers.iter().for_each(|(go, _)| go.send(()).unwrap());
            let ended = killed_at("killed_at::reader", folder.path(), calls, times);
            killed += u32::from(!ended.status.success());
        }
    }
    assert!(killed > 30, "of {} only {killed} were killed", CALLS.len() * TIMES.len());
    let store = open(folder.path(), None);
    let app = Instance::attach(&store, folder.path(), "api:a");
    let pipes = writers.map(|(go, writing)| {
        drop(go);
        writing.join().unwrap()
    });
    app.detach(&store);
    for (stream, (_, _, written)) in Stream::ALL.into_iter().zip(&pipes) {
        assert_eq!(numbers(&store, stream), (0..*written).collect::<Vec<_>>(), "{}", stream.as_str());
    }
    until("packed", || store.stats()[&app.name].unindexed == 0);
    let left = fs::read_dir(logs(folder.path()).join("api/a")).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.ends_with(".tmp") || name.ends_with(".damaged")), "{left:?}");
}

// faults: G9
#[test]
fn a_purge_that_is_killed_can_be_done_again_and_one_that_was_done_left_nothing() {
    const LINES: usize = 5000;
    let mut said = 0;
    for (calls, times) in [("?unlink,?unlinkat", 1..12), ("fsync", 1..3)] {
        for times in times {
            let folder = tempfile::tempdir().unwrap();
            let store = open(folder.path(), None);
            let mut app = Instance::attach(&store, folder.path(), "api:a");
            for n in 0..LINES {
                app.print(line(n));
                app.stderr.write_all(line(n).as_bytes()).unwrap();
            }
            app.detach(&store);
            drop(store);
            let ended = killed_at("killed_at::purger", folder.path(), calls, times);
            let store = open(folder.path(), None);
            if String::from_utf8_lossy(&ended.stdout).contains("purged") {
                said += 1;
                assert!(store.known().is_empty() && !logs(folder.path()).join("api/a").exists());
                continue;
            }
            for stream in Stream::ALL {
                let kept = numbers(&store, stream);
                let first = kept.first().copied().unwrap_or(LINES);
                assert_eq!(kept, (first..LINES).collect::<Vec<_>>(), "the newest, without a gap");
            }
            store.purge(&name()).unwrap();
            assert!(!logs(folder.path()).join("api/a").exists());
        }
    }
    assert!(said < 13, "some were killed");
}

// faults: G8
#[test]
fn what_lies_in_a_segment_that_grows_is_synced_after_a_while() {
    let folder = tempfile::tempdir().unwrap();
    // Killed when it does: its log, its marks.
    let ended = killed_at("killed_at::idler", folder.path(), "fdatasync", 2);
    assert_eq!(ended.status.signal(), Some(9));
    let page = open(folder.path(), None).query(&query(10)).unwrap();
    assert_eq!(messages(&page), ["one line"]);
}
