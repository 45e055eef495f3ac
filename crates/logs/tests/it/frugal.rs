//! What the log takes of what everybody shares.

use std::io::Write;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use tenement_logs::{Grain, LogQuery};

use crate::support::{Instance, in_own_process, messages, open, query};

/// Far fewer than there are instances.
const DESCRIPTORS: u64 = 40;

// faults: D6
#[test]
fn logs_of_many_that_have_ended_are_read_with_few_descriptors() {
    if !in_own_process("frugal::logs_of_many_that_have_ended_are_read_with_few_descriptors") {
        return;
    }
    let limit = Rlimit { current: Some(DESCRIPTORS), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for n in 0..200 {
        let mut app = Instance::attach(&store, folder.path(), &format!("api:a{n}"));
        app.print(format!("out {n}\n"));
        app.stderr.write_all(format!("err {n}\n").as_bytes()).unwrap();
        app.detach(&store);
    }
    let page = store.query(&query(1000)).unwrap();
    assert_eq!(page.total, 400);
    let mut found = messages(&page);
    found.sort();
    let mut written: Vec<_> = (0..200).flat_map(|n| [format!("out {n}"), format!("err {n}")]).collect();
    written.sort();
    assert_eq!(found, written);
}

/// The most memory this process ever had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

// faults: G10
#[test]
fn a_question_about_very_many_takes_little_memory() {
    if !in_own_process("frugal::a_question_about_very_many_takes_little_memory") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let lines = format!("{}\n", "of a talkative instance ".repeat(80)).repeat(64);
    for n in 0..400 {
        let mut app = Instance::attach(&store, folder.path(), &format!("api:a{n:03}"));
        app.print(format!("rare {n}\n"));
        app.print(&lines);
        app.detach(&store);
    }
    let before = peak();
    let rare = LogQuery { search: Some("rare".into()), ..query(300) };
    let (mut found, mut cursor) = (0, None);
    loop {
        let page = store.query(&LogQuery { cursor, ..rare.clone() }).unwrap();
        found += page.lines.len();
        if !page.has_more {
            break;
        }
        cursor = Some(page.next);
    }
    assert_eq!((found, store.histogram(&rare, Grain::Buckets(60)).unwrap().total), (400, 400));
    let mut export = store.export(&LogQuery::default()).unwrap();
    let mut exported = 0;
    while let Some(lines) = export.read().unwrap() {
        exported += lines.len();
    }
    assert_eq!(exported, 400 * 65);
    let taken = peak() - before;
    assert!(taken < 44 << 20, "{taken} bytes for 50 MB of lines");
}
