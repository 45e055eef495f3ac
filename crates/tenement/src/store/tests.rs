use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

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

fn link(maker: &str, binding: Binding) -> Wanted {
    Wanted { kind: Kind::Link, maker: Some(maker.to_owned()), binding, ..Wanted::admin("dashboard") }
}

// faults: U3
#[test]
fn nobody_is_let_in_by_a_token_that_ends_at_that_moment() {
    let folder = folder();
    let path = folder.path().join("state.db");
    let store = Store::open(&path).unwrap();
    for round in 0..30 {
        let maker = store.new_token(Wanted::admin("ci"), WallMillis(10)).unwrap().grant.id.clone();
        let ends = std::sync::Barrier::new(5);
        let let_in: Vec<String> = std::thread::scope(|scope| {
            let enter = || {
                ends.wait();
                let wanted = || Some(link(&maker, Binding::Nothing));
                let made = store.let_in(wanted, || {}, WallMillis(11)).unwrap();
                made.map(|made| made.text)
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(enter)).collect();
            ends.wait();
            assert!(store.revoke_token(&maker).unwrap());
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert!(let_in.iter().all(|text| store.grant(text, WallMillis(12)).is_none()), "round {round}");
    }
    assert!(store.tokens().is_empty());
    drop(store);
    assert!(Store::open(&path).unwrap().tokens().is_empty());
}

// faults: U3
#[test]
fn nobody_is_let_in_to_an_instance_that_is_purged_at_that_moment() {
    let folder = folder();
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    let maker = store.new_token(Wanted::admin("ci"), WallMillis(10)).unwrap().grant.id.clone();
    for round in 0..30 {
        store.save(&record("a:1")).unwrap();
        store.leave(&Leaving { name: "a:1".parse().unwrap(), data: true, logs: true }).unwrap();
        // As links are: whom one lets in is known to the store before those that let in nobody are forgotten.
        let links = Mutex::new(4);
        let ends = std::sync::Barrier::new(5);
        let take = || {
            let mut left = links.lock().unwrap();
            *left = usize::checked_sub(*left, 1)?;
            Some(link(&maker, Binding::Instance("a:1".parse().unwrap())))
        };
        let let_in: Vec<String> = std::thread::scope(|scope| {
            let enter = || {
                ends.wait();
                store.let_in(take, || {}, WallMillis(11)).unwrap().map(|made| made.text)
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(enter)).collect();
            ends.wait();
            *links.lock().unwrap() = 0;
            store.forget(&"a:1".parse().unwrap()).unwrap();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert!(let_in.iter().all(|text| store.grant(text, WallMillis(12)).is_none()), "round {round}");
    }
}

#[test]
fn of_many_who_come_at_once_by_one_link_one_gets_in() {
    let folder = folder();
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    let maker = store.new_token(Wanted::admin("ci"), WallMillis(10)).unwrap().grant.id.clone();
    for _ in 0..30 {
        let good = AtomicBool::new(true);
        let wanted = || good.load(SeqCst).then(|| link(&maker, Binding::Nothing));
        let enter = || store.let_in(wanted, || good.store(false, SeqCst), WallMillis(11)).unwrap();
        let let_in = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(enter)).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).count()
        });
        assert_eq!(let_in, 1);
    }
}

fn sessions(store: &Store) -> Vec<Arc<Grant>> {
    store.tokens().into_iter().filter(|grant| grant.kind == Kind::Link).collect()
}

#[test]
fn whom_a_token_or_the_machine_lets_in_are_so_many_and_the_oldest_end_for_newer_ones() {
    let folder = folder();
    let path = folder.path().join("state.db");
    let store = Store::open(&path).unwrap();
    let maker = store.new_token(Wanted::admin("ci"), WallMillis(10)).unwrap().grant;
    let by_token = link(&maker.id, Binding::Nothing);
    let locally = Wanted { maker: None, ..by_token.clone() };
    let enter = |wanted: &Wanted, at| {
        store.let_in(|| Some(wanted.clone()), || {}, WallMillis(at)).unwrap().map(|made| made.grant)
    };
    for (wanted, root) in [(&by_token, maker.id.as_str()), (&locally, "local")] {
        let oldest = enter(wanted, 11).unwrap();
        assert_eq!(oldest.root, root);
        for at in 12..1011 {
            enter(wanted, at).unwrap();
        }
        assert!(oldest.is_valid(WallMillis(2000)));
        enter(wanted, 1011).unwrap();
        assert!(!oldest.is_valid(WallMillis(2000)));
    }
    assert_eq!(sessions(&store).len(), 2000, "neither ends those of the other");
    let session = sessions(&store)[0].id.clone();
    assert!(enter(&link(&session, Binding::Nothing), 1012).is_none(), "who was let in lets in nobody");
    drop(store);
    let store = Store::open(&path).unwrap();
    let streams = |of: &[Arc<Grant>]| {
        let all: Vec<_> = of.iter().flat_map(|one| std::iter::from_fn(|| one.share.stream())).collect();
        all.len()
    };
    let (own, local): (Vec<_>, Vec<_>) =
        sessions(&store).into_iter().partition(|session| session.root == maker.id);
    assert_eq!((streams(&own), streams(&local)), (2000, 2000), "a sum each");
    assert!(store.revoke_token(&maker.id).unwrap());
    assert_eq!(sessions(&store).len(), 1000);
    assert!(sessions(&store).iter().all(|session| session.root == "local"));
}

#[test]
fn a_session_whose_maker_is_none_or_a_session_is_not_valid_after_a_start() {
    let folder = folder();
    let path = folder.path().join("state.db");
    let store = Store::open(&path).unwrap();
    let maker = store.new_token(Wanted::admin("ci"), WallMillis(10)).unwrap().grant;
    let enter = |at| {
        let wanted = || Some(link(&maker.id, Binding::Nothing));
        store.let_in(wanted, || {}, WallMillis(at)).unwrap().unwrap().grant.id.clone()
    };
    let all = [enter(11), enter(12), enter(13)];
    drop(store);
    let database = rusqlite::Connection::open(&path).unwrap();
    for (session, maker) in [(&all[1], &all[0]), (&all[2], &"0".repeat(16))] {
        database.execute("UPDATE tokens SET maker = ?2 WHERE id = ?1", [session, maker]).unwrap();
    }
    drop(database);
    let left = sessions(&Store::open(&path).unwrap());
    assert_eq!(left.iter().map(|session| &session.id).collect::<Vec<_>>(), [&all[0]]);
}
