//! What the log takes of what everybody shares.

use std::io::Write;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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
