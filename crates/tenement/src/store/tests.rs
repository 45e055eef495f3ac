use tenement_core::time::WallMillis;
use tenement_supervisor::{Desired, Leaving, Record, Registry};

use super::*;

mod damaged;

fn record(name: &str) -> Record {
    Record {
        name: name.parse().unwrap(),
        env: [("A".to_owned(), "1".to_owned())].into(),
        desired: Desired::Up,
        created_at: WallMillis(7),
    }
}

// faults: D1
#[test]
fn who_leaves_is_stopped_and_gone_with_its_tokens_or_stays_when_it_is_saved_again() {
    let folder = folder();
    let path = folder.path().join("state.db");
    let store = Store::open(&path).unwrap();
    store.save_all(&[record("a:1"), record("a:2")]).unwrap();
    let bound = |id: &str| {
        let binding = Binding::Instance(id.parse().unwrap());
        store.new_token(Wanted { binding, ..Wanted::admin("ci") }, WallMillis(10)).unwrap().text
    };
    let tokens = ["a:1", "a:2"].map(bound);
    let leaving = |id: &str, logs| Leaving { name: id.parse().unwrap(), data: true, logs };
    store.leave(&leaving("a:1", true)).unwrap();
    store.leave(&leaving("a:2", false)).unwrap();
    store.leave(&leaving("a:3", true)).unwrap();
    drop(store);
    let store = Store::open(&path).unwrap();
    let all = [leaving("a:1", true), leaving("a:2", false), leaving("a:3", true)];
    assert_eq!(store.leaving().unwrap(), all);
    let stopped = |id: &str| Record { desired: Desired::Stopped, ..record(id) };
    assert_eq!(store.records().unwrap(), [stopped("a:1"), stopped("a:2")]);
    all.iter().for_each(|one| store.forget(&one.name).unwrap());
    assert_eq!((store.leaving().unwrap(), store.records().unwrap()), (Vec::new(), Vec::new()));
    let valid = |store: &Store| tokens.each_ref().map(|text| store.grant(text, WallMillis(11)).is_some());
    assert_eq!(valid(&store), [false, true], "of one whose logs went too nothing is left");
    store.save(&record("a:1")).unwrap();
    store.leave(&leaving("a:1", true)).unwrap();
    store.save(&record("a:1")).unwrap();
    assert_eq!((store.leaving().unwrap(), store.records().unwrap()), (Vec::new(), vec![record("a:1")]));
    drop(store);
    assert_eq!(valid(&Store::open(&path).unwrap()), [false, true]);
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn records_are_there_after_opening_again() {
    let folder = folder();
    let path = folder.path().join("state.db");
    let store = Store::open(&path).unwrap();
    store.save_all(&[record("b:1"), record("a:1")]).unwrap();
    store.save(&Record { desired: Desired::Stopped, created_at: WallMillis(9), ..record("a:1") }).unwrap();
    drop(store);
    let records = Store::open(&path).unwrap().records().unwrap();
    let stopped = Record { desired: Desired::Stopped, ..record("a:1") };
    assert_eq!(records, [stopped, record("b:1")], "created_at never changes");
    let store = Store::open(&path).unwrap();
    store.forget(&record("a:1").name).unwrap();
    assert_eq!(store.records().unwrap(), [record("b:1")]);
}

// faults: A2
#[test]
fn a_token_is_valid_until_it_expires_and_is_kept_as_a_hash_only() {
    let folder = folder();
    let path = folder.path().join("state.db");
    let store = Store::open(&path).unwrap();
    assert!(!store.has_tokens().unwrap());
    let token = store
        .new_token(Wanted { expires_at: Some(WallMillis(20)), ..Wanted::admin("ci") }, WallMillis(10))
        .unwrap()
        .text;
    let valid = |store: &Store| [19, 20].map(|now| store.grant(&token, WallMillis(now)).is_some());
    assert_eq!(valid(&store), [true, false]);
    assert!(store.grant("tenement_", WallMillis(0)).is_none());
    drop(store);
    assert_eq!(valid(&Store::open(&path).unwrap()), [true, false], "after opening again");
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()));
}

#[test]
fn a_token_is_looked_up_while_the_database_is_busy() {
    let folder = folder();
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    let token = store.new_token(Wanted::admin("ci"), WallMillis(10)).unwrap().text;
    let _busy = store.db.occupy();
    assert!(store.grant(&token, WallMillis(11)).is_some() && store.grant("other", WallMillis(11)).is_none());
}

#[test]
fn there_is_one_first_token() {
    let folder = folder();
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    let made = store.new_token(Wanted::admin("first"), WallMillis(1)).unwrap().text;
    assert!(!store.set_first_token("a", WallMillis(1)).unwrap());
    assert!(!store.set_first_token("a", WallMillis(2)).unwrap(), "the same");
    assert!(store.set_first_token("b", WallMillis(3)).unwrap());
    let valid = |text: &str| store.grant(text, WallMillis(4)).is_some();
    assert!(!valid("a") && valid("b") && valid(&made));
    assert!(store.set_first_token(&made, WallMillis(3)).unwrap(), "one that is known as another");
    assert!(!valid("b") && valid(&made));
}

#[test]
fn errors_of_the_disk_are_told_apart() {
    let failed = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
    for code in [rusqlite::ffi::SQLITE_FULL, rusqlite::ffi::SQLITE_IOERR_WRITE] {
        assert!(StoreError::Sql(failed(code)).is_of_the_disk());
    }
    assert!(!StoreError::Sql(failed(rusqlite::ffi::SQLITE_CORRUPT)).is_of_the_disk());
}
