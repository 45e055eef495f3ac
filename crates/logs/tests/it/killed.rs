//! The reader is killed under load, again and again; the writer never notices and no line is lost or doubled.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use tenement_logs::{Limits, LogStore};

use crate::support::{Instance, fifo, messages, open_with, query, until};

const READER: &str = "TENEMENT_TEST_LOG_READER";
const LINES: usize = 300_000;
const KILLS: usize = 20;

/// With segments so small that a kill often comes while one is closed.
fn open(folder: &Path) -> LogStore {
    open_with(folder, Limits { segment_size: 16 << 10, ..Limits::default() })
}

/// Not a test by itself: what the test below starts and kills.
#[test]
fn reader() {
    let Some(folder) = std::env::var_os(READER).map(PathBuf::from) else { return };
    let store = open(&folder);
    let _app = Instance::attach(&store, &folder, "api:a");
    println!("reading");
    loop {
        thread::park();
    }
}

fn start(folder: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::reader", "--nocapture"])
        .env(READER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map(Result::unwrap).find(|line| line.ends_with("reading")).expect("the reader has begun");
    child
}

// faults: G9
#[test]
fn a_killed_reader_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (_keep, mut pipe) = fifo(&folder.path().join("api-a.out"));
    let writer = thread::spawn(move || {
        for n in 0..LINES {
            pipe.write_all(format!("line {n:07}\n").as_bytes()).unwrap();
        }
        pipe
    });
    let size = || {
        std::fs::read_dir(folder.path().join("logs/api/a")).map_or(0, |files| {
            files.flatten().filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum::<u64>()
        })
    };
    for _ in 0..KILLS {
        let before = size();
        let mut child = start(folder.path());
        until("more was read", || size() > before || writer.is_finished());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let store = open(folder.path());
    let app = Instance::attach(&store, folder.path(), "api:a");
    let _pipe = writer.join().unwrap();
    app.detach(&store);
    let page = store.query(&query(LINES + 10)).unwrap();
    assert_eq!(page.total as usize, LINES);
    for (n, message) in messages(&page).iter().enumerate() {
        assert_eq!(*message, format!("line {n:07}"));
    }
}
