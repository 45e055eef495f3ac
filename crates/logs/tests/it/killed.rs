//! The reader is killed under load, again and again; the writer never notices and no line is lost or doubled.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
};

use tenement_logs::{Limits, LogStore, Stream, StreamLimits};

use crate::support::{Instance, fifo, open_with, query, until};

const READER: &str = "TENEMENT_TEST_LOG_READER";
const RATE: &str = "TENEMENT_TEST_LOG_RATE";
/// Of each stream.
const LINES: usize = 150_000;
const KILLS: usize = 20;

/// With segments so small that a kill often comes while one is closed.
pub(crate) fn open(folder: &Path, rate: Option<u32>) -> LogStore {
    let instance = StreamLimits { rate, ..StreamLimits::default() };
    open_with(folder, Limits { segment_size: 16 << 10, instance, ..Limits::default() })
}

/// Not a test by itself: what the test below starts and kills.
#[test]
fn reader() {
    let Some(folder) = std::env::var_os(READER).map(PathBuf::from) else { return };
    let rate = std::env::var(RATE).ok().map(|rate| rate.parse().unwrap());
    let store = open(&folder, rate);
    let _app = Instance::attach(&store, &folder, "api:a");
    println!("reading");
    loop {
        thread::park();
    }
}

fn start(folder: &Path, rate: Option<u32>) -> Child {
    let rate = rate.map(|rate| (RATE, rate.to_string()));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::reader", "--nocapture"])
        .env(READER, folder)
        .envs(rate)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map(Result::unwrap).find(|line| line.ends_with("reading")).expect("the reader has begun");
    child
}

/// Writes numbered lines to both streams, each from a thread of its own, and gives the ends back once all are read.
fn writers(folder: &Path) -> [JoinHandle<(OwnedFd, File)>; 2] {
    ["out", "err"].map(|stream| {
        let (keep, mut pipe) = fifo(&folder.join(format!("api-a.{stream}")));
        thread::spawn(move || {
            for n in 0..LINES {
                pipe.write_all(format!("line {n:07}\n").as_bytes()).unwrap();
            }
            (keep, pipe)
        })
    })
}

/// Every line of both streams is there once, in order, and no two have the same place.
fn whole(store: &LogStore, count: usize) {
    let page = store.query(&query(2 * count + 10)).unwrap();
    assert_eq!(page.total as usize, 2 * count);
    assert!(page.lines.windows(2).all(|pair| pair[0].seq < pair[1].seq), "each has a place of its own");
    for stream in Stream::ALL {
        let lines: Vec<_> = page.lines.iter().filter(|line| line.stream == stream).collect();
        assert_eq!(lines.len(), count);
        for (n, line) in lines.iter().enumerate() {
            assert_eq!(line.message(), format!("line {n:07}"), "{}", stream.as_str());
        }
    }
}

// faults: G9
#[test]
fn a_killed_reader_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let writers = writers(folder.path());
    let size = || {
        std::fs::read_dir(folder.path().join("logs/api/a")).map_or(0, |files| {
            files.flatten().filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum::<u64>()
        })
    };
    for _ in 0..KILLS {
        let before = size();
        let mut child = start(folder.path(), None);
        until("more was read", || size() != before || writers.iter().all(JoinHandle::is_finished));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let store = open(folder.path(), None);
    let app = Instance::attach(&store, folder.path(), "api:a");
    let _pipes = writers.map(|writer| writer.join().unwrap());
    app.detach(&store);
    whole(&store, LINES);
}

// faults: G6 G9
#[test]
fn a_killed_reader_that_leaves_lines_out_keeps_none_twice() {
    const RATE: Option<u32> = Some(200);
    let folder = tempfile::tempdir().unwrap();
    let (_keep, mut pipe) = fifo(&folder.path().join("api-a.out"));
    let (stop, stopped) = mpsc::channel::<()>();
    let writer = thread::spawn(move || {
        let mut written = 0;
        while stopped.try_recv().is_err() {
            pipe.write_all(format!("line {written:09}\n").as_bytes()).unwrap();
            written += 1;
        }
        (pipe, written)
    });
    for _ in 0..KILLS {
        let mut child = start(folder.path(), RATE);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let store = open(folder.path(), RATE);
    let app = Instance::attach(&store, folder.path(), "api:a");
    until("left out", || store.stats()[&app.name].lines_left_out > 0);
    stop.send(()).unwrap();
    let (_pipe, written) = writer.join().unwrap();
    app.detach(&store);
    let lines = store.query(&query(1_000_000)).unwrap().lines;
    let (notes, kept): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.note);
    let kept: Vec<_> = kept.iter().map(|line| line.message().into_owned()).collect();
    let (whole, ends): (Vec<_>, Vec<_>) =
        kept.iter().partition(|line| line.len() == "line 000000000".len() && line.starts_with("line "));
    assert!(whole.windows(2).all(|pair| pair[0] < pair[1]), "each once, in order");
    assert!(ends.len() <= KILLS, "of what was being left out at a kill, the end at most: {ends:?}");
    assert!(!notes.is_empty() && whole.len() < written);
    assert!(notes.iter().all(|note| note.message().ends_with("left out: over log_rate_limit = 200/s")));
}
