//! What was written down of running processes is lost, and they say themselves whose they are.

use super::{ALL, body, configured, daemon, host, view};
use crate::support::{TestDaemon, until};

use std::{fs, path::Path};

use serde_json::Value;

fn lost(daemon: &TestDaemon) -> Vec<String> {
    let status: Value = serde_json::from_str(&daemon.ok(&["--json", "status"])).unwrap();
    status["lost"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

/// All is in the file itself.
fn settle(path: &Path) {
    let database = rusqlite::Connection::open(path).unwrap();
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).unwrap();
}

fn overwritten(path: &Path, from: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[from..].fill(0xff);
    fs::write(path, bytes).unwrap();
}

// faults: D5
#[test]
fn without_a_record_of_what_runs_everything_that_can_be_proven_is_taken_on_and_the_loss_is_told() {
    type Damage = fn(&Path);
    let ways: [(&str, Damage, bool); 4] = [
        ("it is empty", |path| fs::write(path, "").unwrap(), true),
        ("is not there any more", |path| fs::remove_file(path).unwrap(), false),
        ("was damaged", |path| overwritten(path, 4096), true),
        ("was damaged", |path| overwritten(path, 0), true),
    ];
    for (how, damage, kept) in ways {
        let first = daemon(configured("health = \"/\"\nidle_timeout = 600\n"));
        ALL.iter().for_each(|instance| drop(first.ok(&["spawn", instance])));
        first.ok(&["restart", "own:a", "--wait"]);
        let before = ALL.map(|instance| (view(&first, instance), first.get(&host(instance), "/")));
        let folder = first.kill_alone();
        let path = folder.path().join("data/runs.db");
        settle(&path);
        damage(&path);
        let second = daemon(folder);
        for (instance, (view_before, answer)) in ALL.iter().zip(&before) {
            until("up", || view(&second, instance)["status"] == "running");
            let now = view(&second, instance);
            for same in ["pid", "socket", "port"] {
                assert_eq!(now[same], view_before[same], "{how}: {instance} {same}");
            }
            assert_eq!(body(&second.get(&host(instance), "/")), body(answer));
        }
        assert_eq!(second.processes().len(), 3);
        let lost = lost(&second);
        assert_eq!(lost.len(), 1, "{lost:?}");
        assert!(lost[0].contains("runs.db") && lost[0].contains(how), "{lost:?}");
        assert_eq!(lost[0].contains(".corrupt-"), kept, "{lost:?}");
        // They are written down anew, and are instances like any other.
        let third = daemon(second.kill_alone());
        assert_eq!(view(&third, "own:a")["pid"], before[0].0["pid"]);
        until("checked", || ALL.iter().all(|instance| view(&third, instance)["health"] == "healthy"));
        third.ok(&["restart", "own:a", "--wait"]);
        assert_ne!(view(&third, "own:a")["pid"], before[0].0["pid"]);
        third.ok(&["stop", "given:a"]);
        assert_eq!(third.processes().len(), 2);
    }
}

// faults: D5 I11
#[test]
fn a_record_that_can_t_be_read_is_told_and_costs_no_process() {
    let first = daemon(configured(""));
    ALL.iter().for_each(|instance| drop(first.ok(&["spawn", instance])));
    let before = ALL.map(|instance| view(&first, instance)["pid"].clone());
    let folder = first.kill_alone();
    let database = rusqlite::Connection::open(folder.path().join("data/runs.db")).unwrap();
    database.execute("UPDATE runs SET run = '{\"v\":1}' WHERE name = 'own:a'", ()).unwrap();
    database.execute("UPDATE lives SET life = '' WHERE name = 'port:a'", ()).unwrap();
    drop(database);
    let second = daemon(folder);
    ALL.iter().for_each(|instance| until("up", || view(&second, instance)["status"] == "running"));
    assert_eq!(ALL.map(|instance| view(&second, instance)["pid"].clone()), before);
    assert!(lost(&second)[0].contains("2 records of what was running can't be read"), "{:?}", lost(&second));
}

// faults: D5 C10
#[test]
fn what_is_not_to_run_any_more_or_was_started_otherwise_is_not_taken_on_as_it_is() {
    let first = daemon(configured(""));
    ALL.iter().for_each(|instance| drop(first.ok(&["spawn", instance])));
    let before = ALL.map(|instance| view(&first, instance)["pid"].as_u64().unwrap());
    let folder = first.kill_alone();
    let path = folder.path().join("tenement.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("[service.port]", "[service.port]\nenv = { NEW = \"1\" }")).unwrap();
    let state = rusqlite::Connection::open(folder.path().join("data/state.db")).unwrap();
    let stopped = "UPDATE instances SET desired = 'stopped' WHERE service = 'own'";
    assert_eq!(state.execute(stopped, ()).unwrap(), 1);
    drop(state);
    fs::remove_file(folder.path().join("data/runs.db")).unwrap();
    let _ = fs::remove_file(folder.path().join("data/runs.db-wal"));
    let second = daemon(folder);
    until("restarted", || {
        let now = view(&second, "port:a");
        now["status"] == "running" && now["pid"] != before[1]
    });
    assert_eq!(view(&second, "given:a")["pid"], before[2]);
    assert_eq!(view(&second, "own:a")["status"], "stopped");
    assert_eq!(second.processes().len(), 2);
}
