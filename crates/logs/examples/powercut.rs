//! What runs in the machine whose power is cut: checks what the last rounds left, then writes until the end.
//! `tests/vm/powercut.py` starts it and says what its lines mean.
//!
//! ```text
//! kept ROUND STREAM LINES [cut]   found of a round: lines 0 to LINES, and perhaps the beginning of the next one
//! gone N                          the lowest number among the lines of the instance that is purged again and again
//! bad …                           something that must not be
//! checked                         that was all, now comes this round
//! safe STREAM LINES               so many lines of this round are packed
//! purged N                        lines of that instance up to this number were erased
//! ```
#![allow(clippy::disallowed_methods, reason = "a program for a test, on a disk of its own")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Seek, SeekFrom, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use tenement_core::{name::InstanceName, slot::RunId};
use tenement_logs::{Limits, LogLine, LogQuery, LogStore, Part, Stream};

/// Bytes of every line, so that an offset tells how many there are.
const LINE: usize = 80;
const KEPT: &str = "api:kept";
const GONE: &str = "api:gone";
/// So many lines of a stream come as fast as they can be taken, later ones one by one.
const FAST: u64 = 80_000;
/// Lines that are written between two purges.
const PURGED: u64 = 3000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().expect("a folder"));
    let round: u64 = arguments.next().expect("a round").parse().expect("a number");
    // Small ones are packed all the time, and whatever is packed is flushed; of large ones much is not.
    let segment_size = if round.is_multiple_of(2) { 64 << 10 } else { 1 << 20 };
    let limits = Limits { segment_size, ..Limits::default() };
    let store = LogStore::open(dir.join("logs"), limits).expect("the store opens");
    // A line that was cut has ended now.
    let run = RunId(round + 1);
    let pipes = attach(&store, KEPT, run);
    check(&store);
    println!("checked");
    let begins = Stream::ALL.map(|stream| end(&dir, stream));
    for (stream, mut pipe) in Stream::ALL.into_iter().zip(pipes) {
        thread::spawn(move || {
            for n in 0.. {
                pipe.write_all(line(round, stream, n).as_bytes()).expect("the pipe takes it");
                if n > FAST {
                    thread::sleep(Duration::from_millis(5));
                }
            }
        });
    }
    let purging = store.clone();
    if round.is_multiple_of(3) {
        thread::spawn(move || write_and_purge(&purging, run, round * 10_000_000));
    }
    let mut told = [0; 2];
    loop {
        for (index, stream) in Stream::ALL.into_iter().enumerate() {
            let safe = packed(&dir, stream).saturating_sub(begins[index]) / LINE as u64;
            if safe > told[index] {
                told[index] = safe;
                println!("safe {} {safe}", stream.as_str());
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn line(round: u64, stream: Stream, n: u64) -> String {
    let words = ["took", "the last", "one of many", "error: none", "user=4711"][(n % 5) as usize];
    let text = format!("{} n{n:09} {words} {:x}", tag(round, stream), n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    format!("{text:.<width$}\n", width = LINE - 1)
}

/// The word of all lines of a round and stream.
fn tag(round: u64, stream: Stream) -> String {
    format!("r{round:03}{}", stream.as_str())
}

/// Attaches an instance by pipes of its own; the ends to write to.
fn attach(store: &LogStore, name: &str, run: RunId) -> [File; 2] {
    let path = |stream: &str| PathBuf::from(format!("/run/{}.{stream}", name.replace(':', "-")));
    let ends = ["out", "err"].map(|stream| fifo(&path(stream)));
    let [(out, stdout), (err, stderr)] = ends;
    store.attach(&name.parse().expect("a name"), run, [out, err]).expect("attached");
    [stdout, stderr]
}

fn fifo(path: &Path) -> (OwnedFd, File) {
    if !path.exists() {
        rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    }
    let open = |flags| rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).expect("opened");
    (open(OFlags::RDONLY | OFlags::NONBLOCK), open(OFlags::RDWR).into())
}

fn write_and_purge(store: &LogStore, run: RunId, first: u64) {
    let name: InstanceName = GONE.parse().expect("a name");
    let mut n = first;
    loop {
        let [mut pipe, _err] = attach(store, GONE, run);
        for _ in 0..PURGED {
            pipe.write_all(format!("{n:09} is not to be found again\n").as_bytes())
                .expect("the pipe takes it");
            n += 1;
        }
        let (done, is_done) = mpsc::channel();
        store.detach(&name, run, move || done.send(()).expect("somebody waits"));
        is_done.recv().expect("detached");
        store.purge(&name).expect("purged");
        println!("purged {}", n - 1);
    }
}

/// Offsets in a stream that its raw files begin at.
fn raw(dir: &Path, stream: Stream) -> BTreeSet<u64> {
    let names = std::fs::read_dir(dir.join("logs/api/kept")).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let base = |name: String| {
        name.strip_prefix(stream.as_str())?.strip_prefix('-')?.strip_suffix(".log")?.parse().ok()
    };
    names.filter_map(base).collect()
}

/// Where the stream goes on: whatever comes next is of this round.
fn end(dir: &Path, stream: Stream) -> u64 {
    let Some(&last) = raw(dir, stream).last() else { return 0 };
    let path = dir.join(format!("logs/api/kept/{}-{last:020}.log", stream.as_str()));
    last + File::open(path).and_then(|mut file| file.seek(SeekFrom::End(0))).expect("its length")
}

/// Up to where everything is packed: raw files go after that.
fn packed(dir: &Path, stream: Stream) -> u64 {
    raw(dir, stream).first().copied().unwrap_or(0)
}

/// The lowest number among the lines of the instance that is purged.
fn gone(store: &LogStore) -> Option<u64> {
    let query = LogQuery { instance: GONE.parse().ok(), ..LogQuery::default() };
    let mut export = store.export(&query).expect("exported");
    let mut lowest = None;
    while let Some(lines) = export.read().expect("read") {
        let numbers = lines.iter().filter_map(|line| line.message().get(..9)?.parse().ok());
        lowest = lowest.into_iter().chain(numbers).min();
    }
    lowest
}

/// What was found of one round and stream.
#[derive(Default)]
struct Found {
    lines: u64,
    is_cut: bool,
}

fn check(store: &LogStore) {
    let of_kept = || LogQuery { instance: KEPT.parse().ok(), limit: 1, ..LogQuery::default() };
    let mut found: BTreeMap<(u64, Stream), Found> = BTreeMap::new();
    let (mut next, mut count) = (0, 0);
    let mut export = store.export(&of_kept()).expect("exported");
    while let Some(lines) = export.read().expect("read") {
        for line in lines {
            if line.seq < next {
                println!("bad: after place {next} comes {}", line.seq);
            }
            next = line.seq + 1;
            count += 1;
            look_at(&line, &mut found);
        }
    }
    let total = |terms: Vec<String>| store.query(&LogQuery { terms, ..of_kept() }).expect("answered").total;
    if total(Vec::new()) != count {
        println!("bad: {count} lines were read, {} counted", total(Vec::new()));
    }
    for ((round, stream), Found { lines, is_cut }) in found {
        let (tag, cut) = (tag(round, stream), if is_cut { " cut" } else { "" });
        let by_index = total(vec![tag.clone()]);
        if by_index < lines || by_index > lines + u64::from(is_cut) {
            println!("bad: of {tag} there are {lines} lines{cut}, and the index knows {by_index}");
        }
        for n in [0, lines / 3, lines / 2, lines.saturating_sub(1)].into_iter().filter(|&n| n < lines) {
            let held = total(vec![tag.clone(), format!("n{n:09}")]);
            if held != 1 {
                println!("bad: line {n} of {tag} is found {held} times");
            }
        }
        println!("kept {round} {} {lines}{cut}", stream.as_str());
    }
    if let Some(lowest) = gone(store) {
        println!("gone {lowest}");
    }
}

/// A line is the one after the last of its round and stream; only the last of all may be cut.
fn look_at(line: &LogLine, found: &mut BTreeMap<(u64, Stream), Found>) {
    let text = line.message();
    let newest = found.keys().map(|(round, _)| *round).max();
    let round = text.get(1..4).and_then(|round| round.parse().ok()).or(newest).unwrap_or(0);
    let so_far = found.entry((round, line.stream)).or_default();
    let wanted = self::line(round, line.stream, so_far.lines);
    let shown: String = text.chars().take(40).collect();
    if so_far.is_cut || line.note || matches!(line.part, Part::Cut | Part::Last) {
        println!("bad: place {}, after a line that was cut: {shown:?}", line.seq);
    } else if wanted.trim_end() == text {
        so_far.lines += 1;
    } else if wanted.as_bytes().starts_with(&line.bytes) {
        so_far.is_cut = true;
    } else {
        println!("bad: place {} of {}, line {}: {shown:?}", line.seq, line.stream.as_str(), so_far.lines);
    }
}
