//! Upgrades that are refused, and change nothing.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::Value;

use super::{Socket, ask, daemon, host, life, log, upgrade};
use crate::support::{TestDaemon, run, text, until};

/// `ten upgrade`, which has to fail; what it says.
fn refused(daemon: &TestDaemon, arguments: &[&str]) -> String {
    let output = daemon.ten(&[&["upgrade"], arguments].concat());
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stderr)
}

fn script(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

// faults: D10
#[test]
fn a_program_that_cannot_take_over_changes_nothing() {
    let daemon = daemon("");
    daemon.ok(&["spawn", "app:a"]);
    let (before, pid) = (life(&daemon, "a"), daemon.daemon_pid());
    let (mut client, mut socket) = (daemon.connect(), Socket::open(&daemon, "a"));
    let folder = daemon.folder.path();
    let ends = script(folder, "ends", "exit 3");
    let plain = folder.join("plain");
    fs::write(&plain, "no program").unwrap();
    let foreign = script(folder, "foreign", "echo hello; kill -9 $$");
    let plain = plain.to_str().unwrap();
    let all = [
        ("/does/not/exist", "'/does/not/exist'", "No such file"), // before anybody is asked
        (plain, "/plain'", "Permission denied"),
        (&ends, "/ends'", "code 3"),
        ("/bin/true", "/true'", "code 0"),
        (&foreign, "/foreign'", "killed by SIGKILL"),
        (folder.to_str().unwrap(), "'", "Permission denied"),
    ];
    for (binary, name, why) in all {
        let said = refused(&daemon, &[binary]);
        assert!(said.contains(name) && said.contains(why) && said.lines().count() == 1, "{said}");
        assert_eq!(daemon.daemon_pid(), pid);
        assert_eq!(life(&daemon, "a"), before);
        ask(&mut client, &host("a"), "/still");
        socket.echo(binary);
    }
    assert_eq!(daemon.daemon_pid(), pid);
    daemon.ok(&["stop", "app:a"]);
    daemon.ok(&["spawn", "app:a"]);
    upgrade(&daemon, &[]);
}

// faults: D10
#[test]
fn a_program_that_hangs_is_given_up() {
    let daemon = daemon("");
    daemon.ok(&["spawn", "app:a"]);
    let (before, pid) = (life(&daemon, "a"), daemon.daemon_pid());
    let hangs = script(daemon.folder.path(), "hangs", "exec sleep 1000");
    let said = refused(&daemon, &[&hangs, "--timeout", "1"]);
    assert!(said.contains("/hangs'") && said.contains("not ready within 1 s"), "{said}");
    assert_eq!((daemon.daemon_pid(), life(&daemon, "a")), (pid, before));
    upgrade(&daemon, &[]);
}

// faults: D10 C10
#[test]
fn a_configuration_with_errors_is_refused_with_all_of_them() {
    let daemon = daemon("");
    daemon.ok(&["spawn", "app:a"]);
    let before = life(&daemon, "a");
    let path = daemon.folder.path().join("tenement.toml");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, good.replace("idle_timeout = 1", "idle_timeout = 'soon'\nrestart = 'perhaps'")).unwrap();
    let said = refused(&daemon, &[]);
    assert!(
        said.contains("idle_timeout") && said.contains("restart") && said.contains("tenement.toml"),
        "{said}"
    );
    let answer: Value = serde_json::from_str(&daemon.ask_local_as("POST", "/api/upgrade", "")).unwrap();
    assert_eq!((answer["error"].as_str(), answer["status"].as_u64()), (Some("not_upgraded"), Some(409)));
    assert!(answer["message"].as_str().unwrap().contains("restart: "), "{answer}");
    fs::remove_file(&path).unwrap();
    assert!(refused(&daemon, &[]).contains("tenement.toml"));
    assert_eq!(life(&daemon, "a"), before);
    // What is in it is in force after an upgrade.
    fs::write(&path, good.replace("idle_timeout = 1", "idle_timeout = 1800")).unwrap();
    upgrade(&daemon, &[]);
    assert_eq!(life(&daemon, "a"), before);
    until("in force", || daemon.ask_local("/api/config").contains("1800"));
}

// faults: D5 D10
#[test]
fn a_state_of_a_newer_release_is_refused() {
    let daemon = daemon("");
    daemon.ok(&["spawn", "app:a"]);
    let before = life(&daemon, "a");
    for name in ["state.db", "runs.db"] {
        let database = rusqlite::Connection::open(daemon.folder.path().join("data").join(name)).unwrap();
        database.busy_timeout(crate::support::PATIENCE).unwrap();
        let version: u32 = database.query_row("PRAGMA user_version", (), |row| row.get(0)).unwrap();
        database.pragma_update(None, "user_version", 4711).unwrap();
        let said = refused(&daemon, &[]);
        assert!(said.contains(name) && said.contains("4711"), "{said}");
        database.pragma_update(None, "user_version", version).unwrap();
        assert_eq!(life(&daemon, "a"), before);
        assert!(ask(&mut daemon.connect(), &host("a"), "/still").ends_with("/still"));
    }
    upgrade(&daemon, &[]);
    assert_eq!(life(&daemon, "a"), before);
}

#[test]
fn another_data_directory_is_refused() {
    let daemon = daemon("");
    daemon.ok(&["spawn", "app:a"]);
    let before = life(&daemon, "a");
    let (named, moved) = (daemon.folder.path().join("data"), daemon.folder.path().join("moved"));
    fs::rename(&named, &moved).unwrap();
    let output = run(daemon.folder.path(), &["--data-dir", "moved", "upgrade"]);
    assert!(!named.exists(), "nothing was made there");
    fs::rename(&moved, &named).unwrap();
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("data_dir"), "{said}");
    upgrade(&daemon, &[]);
    assert_eq!(life(&daemon, "a"), before);
}

#[test]
fn a_second_upgrade_is_refused_and_does_not_end_the_first() {
    let daemon = daemon("");
    let pid = daemon.daemon_pid();
    let folder = daemon.folder.path();
    let slow = script(
        folder,
        "slow",
        &format!(
            "touch begun; until [ -e go ]; do sleep 0.01; done; exec '{}' \"$@\"",
            env!("CARGO_BIN_EXE_ten")
        ),
    );
    std::thread::scope(|scope| {
        let first = scope.spawn(|| daemon.ten(&["upgrade", &slow]));
        until("begun", || folder.join("begun").exists());
        assert!(refused(&daemon, &["/bin/true"]).contains("an upgrade is under way"));
        daemon.signal(rustix::process::Signal::HUP);
        until("refused", || log(&daemon).contains("an upgrade is under way"));
        assert_eq!(daemon.daemon_pid(), pid);
        fs::write(folder.join("go"), "").unwrap();
        let first = first.join().unwrap();
        assert!(first.status.success(), "{}", text(&first.stderr));
    });
    assert_ne!(daemon.daemon_pid(), pid);
}

#[test]
fn without_its_keeper_a_daemon_says_what_to_do() {
    let mut daemon = daemon("");
    daemon.kill_keeper();
    until("noticed", || log(&daemon).contains("the keeper is gone"));
    let said = refused(&daemon, &[]);
    assert!(said.contains("start 'ten serve'"), "{said}");
}

#[test]
fn what_is_no_program_is_told_before_anybody_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["upgrade", "missing"]);
    assert!(!output.status.success() && text(&output.stderr).contains("'missing'"));
}
