#![allow(clippy::disallowed_methods, reason = "tests write files")]

use std::{collections::BTreeMap, fs};

use tenement_core::{lifecycle::Lifecycle, time::WallMillis};
use tenement_supervisor::{Desired, Record};

use super::*;

fn open(path: &Path, boot: &str) -> RunStore {
    RunStore::open(path, boot).unwrap().0
}

fn life(name: &InstanceName, secret: &str) -> Life {
    Life {
        state: Lifecycle::new(RunId(1 << 32)),
        since: Millis(5),
        last_active: Millis(7),
        last_check: None,
        address: None,
        record: Record {
            name: name.clone(),
            env: BTreeMap::from([("SECRET".to_owned(), secret.to_owned())]),
            desired: Desired::Up,
            created_at: WallMillis(9),
        },
        purge: false,
    }
}

fn lives(store: &RunStore) -> Vec<(String, Life)> {
    let all = store.remembered().unwrap().all.into_iter();
    all.filter_map(|(name, remembered)| Some((name.to_string(), remembered.life?))).collect()
}

#[test]
fn what_was_noted_is_there_for_the_next_one_of_this_boot_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let name: InstanceName = "api:a".parse().unwrap();
    let store = open(&path, "boot");
    store.changed(&name, life(&name, "one"));
    store.changed(&name, life(&name, "two"));
    store.flush();
    assert!(store.used(&[(name.clone(), Millis(70))]));
    std::mem::forget(store);
    let store = open(&path, "boot");
    let [(_, found)] = &lives(&store)[..] else { panic!() };
    assert_eq!((found.record.env["SECRET"].as_str(), found.last_active), ("two", Millis(70)));
    drop(store);
    assert!(lives(&open(&path, "another boot")).is_empty());
}

// faults: D5
#[test]
fn a_record_of_another_kind_is_left_out_a_newer_file_refused_and_a_damaged_one_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let name: InstanceName = "api:a".parse().unwrap();
    let store = open(&path, "boot");
    store.changed(&name, life(&name, "one"));
    store.flush();
    drop(store);
    let connection = Connection::open(&path).unwrap();
    connection.execute("INSERT INTO lives VALUES ('api:b', '{}')", ()).unwrap();
    assert_eq!(lives(&open(&path, "boot")).len(), 1);
    connection.pragma_update(None, "user_version", FORMAT + 1).unwrap();
    drop(connection);
    assert!(matches!(RunStore::open(&path, "boot"), Err(RunsError::Newer { found: 2, .. })));
    assert!(matches!(check(&path), Err(RunsError::Newer { .. })));
    fs::write(&path, [7; 5000]).unwrap();
    assert!(lives(&open(&path, "boot")).is_empty());
}

fn run(number: u64) -> Run {
    let handle = format!(
        r#"{{"pid":1,"start_time":1,"boot_id":"boot","run":{number},"strategy":"Walk","cgroup":null,"marker":null}}"#
    );
    Run {
        handle: serde_json::from_str(&handle).unwrap(),
        port: 1,
        socket: "/s".into(),
        launched_with: String::new(),
        listener_made_by: None,
    }
}

#[test]
fn what_waits_is_the_last_of_everything_and_says_what_will_be_remembered() {
    let name: InstanceName = "api:a".parse().unwrap();
    let after = |notes: Vec<Note>| {
        let mut remembered = Remembered { life: Some(life(&name, "before")), run: Some(run(1)) };
        notes.into_iter().fold(Note::default(), Note::then).over(&mut remembered);
        let secret = remembered.life.map(|life| life.record.env["SECRET"].clone());
        (secret, remembered.run.map(|run| run.handle.run))
    };
    let changed = |secret: &str| Note::changed(life(&name, secret));
    let gone = |number| Note::gone(RunId(number));
    let before = Some("before".to_owned());
    assert_eq!(after(vec![]), (before.clone(), Some(1)));
    assert_eq!(after(vec![gone(1)]), (before.clone(), None));
    assert_eq!(after(vec![gone(1), Note::launched(run(2))]), (before.clone(), Some(2)));
    assert_eq!(after(vec![Note::launched(run(2)), gone(1)]), (before.clone(), Some(2)));
    assert_eq!(after(vec![Note::launched(run(2)), gone(2)]), (before, None));
    assert_eq!(after(vec![changed("one"), changed("two"), Note::forgotten()]), (None, None));
    let anew = vec![Note::forgotten(), changed("two"), Note::launched(run(3))];
    assert_eq!(after(anew), (Some("two".to_owned()), Some(3)));
}

#[test]
fn nothing_of_what_is_forgotten_is_found_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let name: InstanceName = "api:a".parse().unwrap();
    let store = open(&path, "boot");
    for round in 0..20 {
        store.changed(&name, life(&name, &format!("hunter{round}")));
        store.flush();
    }
    store.forget(&name);
    for entry in fs::read_dir(folder.path()).unwrap().flatten() {
        let bytes = fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"hunter"), "{}", entry.path().display());
    }
}

// faults: D4
#[test]
fn what_can_t_be_written_is_not_tried_again_with_every_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let name: InstanceName = "api:a".parse().unwrap();
    let store = open(&path, "boot");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("ALTER TABLE lives RENAME TO elsewhere").unwrap();
    let until = |failing: bool| {
        while lock(&store.shared.pending).failing != failing {
            std::thread::yield_now();
        }
    };
    let begun = std::time::Instant::now();
    store.changed(&name, life(&name, "one"));
    until(true);
    other.execute_batch("ALTER TABLE elsewhere RENAME TO lives").unwrap();
    store.changed(&name, life(&name, "two"));
    until(false);
    assert!(begun.elapsed() >= PAUSE, "{:?}", begun.elapsed());
    assert_eq!(lives(&store)[0].1.record.env["SECRET"], "two");
}

/// Another form of this would make an upgrade forget what runs: raise [`FORMAT`] where an earlier program would read it wrongly.
#[test]
fn the_form_of_a_life_is_as_it_was_agreed_on() {
    let name: InstanceName = "api:a".parse().unwrap();
    let written = text(&life(&name, "x"));
    let agreed = concat!(
        r#"{"state":{"phase":{"rest":"asleep"},"generation":4294967296,"run":4294967296,"crashes":[],"backoff_e"#,
        r#"xponent":0,"restarts":0,"checks":{"failures_in_a_row":0,"known":false,"asked":false,"counts":{"passe"#,
        r#"d":0,"failed":0}},"reason":null},"since":5,"last_active":7,"last_check":null,"address":null,"record""#,
        r#":{"name":"api:a","env":{"SECRET":"x"},"desired":"up","created_at":9},"purge":false}"#,
    );
    assert_eq!(written, agreed);
    let read: Life = serde_json::from_str(agreed).unwrap();
    assert_eq!(text(&read), agreed);
}
