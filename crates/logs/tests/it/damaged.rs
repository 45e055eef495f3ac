//! What is left of a log after the worst.

use std::{fs, io::Write, os::unix::fs::symlink};

use tenement_logs::LogQuery;

use crate::support::{Instance, logs, messages, open, query, until};

const DATA: &str = "stdout-00000000000000000000.log";
const MARKS: &str = "stdout-00000000000000000000.marks";

// faults: G8 D5
#[test]
fn a_folder_that_cannot_be_read_is_set_aside_and_erased_with_its_instance() {
    let folder = tempfile::tempdir().unwrap();
    let service = logs(folder.path()).join("api");
    fs::create_dir_all(service.join("bad").join(DATA)).unwrap();
    fs::create_dir_all(service.join("bad-1")).unwrap();
    fs::write(service.join("bad-1").join(DATA), "good\n").unwrap();
    let store = open(folder.path());
    assert_eq!(messages(&store.query(&query(10)).unwrap()), ["good"]);
    let folders = || {
        let mut names: Vec<_> = fs::read_dir(&service)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let [aside, other] = folders().try_into().unwrap();
    assert!(aside.starts_with(".damaged-bad-") && other == "bad-1", "{aside} {other}");
    let mut app = Instance::attach(&store, folder.path(), "api:bad");
    app.print("new\n");
    app.detach(&store);
    let of_app = LogQuery { instance: Some(app.name.clone()), ..query(10) };
    assert_eq!(messages(&store.query(&of_app).unwrap()), ["new"]);
    store.purge(&app.name).unwrap();
    assert_eq!(folders(), ["bad-1"]);
}

// faults: G8 D4
#[test]
fn a_full_disk_keeps_nobody_from_what_a_killed_predecessor_left() {
    let folder = tempfile::tempdir().unwrap();
    let own = logs(folder.path()).join("api/a");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join(DATA), "one\ntwo\nthr").unwrap();
    symlink("/dev/full", own.join(MARKS)).unwrap();
    let store = open(folder.path());
    assert_eq!(messages(&store.query(&query(10)).unwrap()), ["one", "two", "thr"]);
    let starts = Instance::attach(&store, folder.path(), "api:a");
    starts.detach(&store);
    assert!(store.stats()[&starts.name].write_errors > 0);
    assert_eq!(messages(&store.query(&query(10)).unwrap()), ["one", "two", "thr"]);
    drop(store);
    // There is room again.
    fs::remove_file(own.join(MARKS)).unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    app.print("four\n");
    app.detach(&store);
    drop(store);
    let page = open(folder.path()).query(&query(10)).unwrap();
    assert_eq!(messages(&page), ["one", "two", "thr", "four"]);
    assert_eq!(page.lines.iter().map(|line| line.seq).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

// faults: G8 D5
#[test]
fn marks_that_are_damaged_are_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    for n in 0..5 {
        app.print(format!("line {n}\n"));
        until("seen", || store.query(&query(1)).unwrap().total == n + 1);
    }
    app.detach(&store);
    let lines = messages(&store.query(&query(10)).unwrap());
    drop(store);
    let marks = logs(folder.path()).join("api/a").join(MARKS);
    let whole = fs::read(&marks).unwrap();
    for at in (0..whole.len()).step_by(17) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&marks, damaged).unwrap();
        let found = messages(&open(folder.path()).query(&query(10)).unwrap());
        // A mark in the middle is noticed only when it is needed, and then what is older is left out.
        assert!(lines.ends_with(&found), "{at}: {found:?}");
    }
    for cut in 0..whole.len() {
        fs::write(&marks, &whole[..cut]).unwrap();
        assert_eq!(messages(&open(folder.path()).query(&query(10)).unwrap()), lines, "{cut}");
    }
}

// faults: G8 G9
#[test]
fn lines_whose_marks_are_gone_get_places_that_no_other_line_has() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut app = Instance::attach(&store, folder.path(), "api:a");
    for n in 0..20 {
        let line = format!("line {n}\n");
        if n % 2 == 0 {
            app.print(line)
        } else {
            app.stderr.write_all(line.as_bytes()).unwrap()
        }
        until("seen", || store.query(&query(1)).unwrap().total == n + 1);
    }
    app.detach(&store);
    drop(store);
    fs::remove_file(logs(folder.path()).join("api/a").join(MARKS)).unwrap();
    let store = open(folder.path());
    let lines = store.query(&query(100)).unwrap().lines;
    let places: Vec<_> = lines.iter().map(|line| line.seq).collect();
    assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
    let of = |parity| (0..20).filter(move |n| n % 2 == parity).map(|n| format!("line {n}"));
    let found: Vec<_> = lines.iter().map(|line| line.message().into_owned()).collect();
    assert_eq!(found, of(1).chain(of(0)).collect::<Vec<_>>(), "what is described keeps its place");
}
