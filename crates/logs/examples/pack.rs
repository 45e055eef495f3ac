//! What packing and indexing cost: takes a file of lines in, waits until all is packed, and asks for words.
//!
//! `cargo run --release -p tenement-logs --example pack -- FILE [WORD…]`
#![allow(clippy::disallowed_methods, reason = "a measurement")]

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    path::Path,
    time::{Duration, Instant},
};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use tenement_core::{name::InstanceName, slot::RunId};
use tenement_logs::{Limits, LogQuery, LogStore};

fn fifo(path: &Path) -> (OwnedFd, File) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let reader = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
    let writer = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    (reader.unwrap(), writer.unwrap().into())
}

/// Seconds of processor time of this process.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().expect("the file of lines");
    let words: Vec<String> = arguments.collect();
    let mut text = Vec::new();
    File::open(file).unwrap().read_to_end(&mut text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = LogStore::open(folder.path().join("logs"), Limits::default()).unwrap();
    let (out, mut stdout) = fifo(&folder.path().join("out"));
    let (err, _stderr) = fifo(&folder.path().join("err"));
    let name: InstanceName = "app:a".parse().unwrap();
    store.attach(&name, RunId(1), [out, err]).unwrap();
    let (begun, before) = (Instant::now(), cpu());
    stdout.write_all(&text).unwrap();
    let (written, taken) = (begun.elapsed(), cpu());
    loop {
        std::thread::sleep(Duration::from_millis(5));
        let stats = store.stats()[&name];
        if stats.bytes_taken == text.len() as u64 && stats.unindexed == 0 {
            break;
        }
    }
    let stats = store.stats()[&name];
    println!(
        "{} lines; written in {written:.2?} with {:.2} s of cpu; packed in {:.2?} with {:.2} s; {:.3} of the size",
        stats.lines,
        taken - before,
        begun.elapsed(),
        cpu() - taken,
        stats.bytes as f64 / text.len() as f64,
    );
    for word in words {
        let query = LogQuery { terms: vec![word.to_lowercase()], limit: 20, ..LogQuery::default() };
        let mut best = Duration::MAX;
        let mut total = 0;
        for _ in 0..10 {
            let asked = Instant::now();
            total = store.query(&query).unwrap().total;
            best = best.min(asked.elapsed());
        }
        println!("{word:?}: {total} in {best:.2?}");
    }
}
