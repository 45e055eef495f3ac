use tenement_core::time::WallMillis;
use tenement_supervisor::{Desired, Record, Registry};

use super::*;

fn record(name: &str) -> Record {
    Record {
        name: name.parse().unwrap(),
        env: [("A".to_owned(), "1".to_owned())].into(),
        desired: Desired::Up,
        created_at: WallMillis(7),
    }
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
    let _busy = store.lock();
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

// faults: D5
#[test]
fn a_newer_or_damaged_database_is_refused_and_left_as_it_is() {
    let folder = folder();
    let newer = folder.path().join("newer.db");
    drop(Store::open(&newer).unwrap());
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(Store::open(&newer).unwrap_err().to_string().contains("newer tenement"));
    let damaged = folder.path().join("damaged.db");
    let garbage = [7; 8192];
    std::io::Write::write_all(&mut std::fs::File::create(&damaged).unwrap(), &garbage).unwrap();
    assert!(Store::open(&damaged).unwrap_err().to_string().contains("damaged.db"));
    assert_eq!(std::fs::read(&damaged).unwrap(), garbage);
}
