use std::{
    fs::File,
    io::{BufRead, BufReader, pipe},
};

use super::*;

fn say(log: &Log, line: &str) {
    let mut log = log;
    log.write_all(line.as_bytes()).unwrap();
}

#[test]
fn lines_are_written_in_order_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = Log::to(File::create(&path).unwrap()).unwrap();
    let lines: Vec<_> = (0..QUEUE / 2).map(|number| format!("{number}\n")).collect();
    lines.iter().for_each(|line| say(&log, line));
    log.finish();
    assert_eq!(std::fs::read_to_string(path).unwrap(), lines.concat());
}

// faults: D14
#[test]
fn what_is_lost_while_nobody_reads_is_counted() {
    let (reader, writer) = pipe().unwrap();
    let log = Log::to(writer).unwrap();
    // Larger than any pipe, so that writing it waits for us.
    say(&log, &format!("{}\n", "-".repeat(4 << 20)));
    while !log.0.lock().writing {
        thread::yield_now();
    }
    (0..QUEUE + 7).for_each(|_| say(&log, "later\n"));
    let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().starts_with("---"));
    let rest: Vec<_> = lines.by_ref().take(QUEUE + 1).collect();
    assert!(rest[..QUEUE].iter().all(|line| line == "later"));
    assert_eq!(rest[QUEUE], "7 lines of this log were lost here: they were not taken in time");
}
