//! The commands that ask a daemon.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::{Free, TestDaemon, notes, run, text};

#[test]
fn an_instance_through_all_commands() {
    let daemon = TestDaemon::start(&notes("health = '/health'\n[service.notes.env]\nOWNER = '{id}'"));
    let spawned = daemon.ok(&["spawn", "notes:alice"]);
    let socket = daemon.folder.path().join("data/run/notes-alice.sock");
    assert!(
        spawned.starts_with("Spawned notes:alice\nSocket: ") && spawned.contains(socket.to_str().unwrap()),
        "{spawned}"
    );
    assert_eq!(daemon.ten(&["spawn", "notes", "--id", "alice"]).status.code(), Some(4));
    assert!(daemon.ok(&["spawn", "notes:alice", "--restart"]).contains("notes:alice"));
    assert_eq!(daemon.ok(&["restart", "notes:alice", "--wait"]), "Restarted notes:alice\n");
    assert_eq!(daemon.ok(&["health", "notes:alice"]), "notes:alice: healthy\n");
    let table = daemon.ok(&["ps"]);
    let mut lines = table.lines();
    let columns: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(columns, ["INSTANCE", "STATUS", "HEALTH", "UPTIME", "RESTARTS", "MEMORY", "CPU", "SOCKET"]);
    assert!(lines.next().unwrap().starts_with("notes:alice  running  healthy  "), "{table}");
    assert!(daemon.ok(&["ls", "--format", "csv", "--no-header"]).starts_with("notes:alice,running,healthy,"));
    let logs = daemon.ok(&["logs", "notes:alice", "--search", "notes are at"]);
    assert!(logs.contains(" notes:alice info  alice's notes are at "), "{logs}");
    let status = daemon.ok(&["status"]);
    assert!(status.contains("Instances: 1 running, 1 known"), "{status}");
    assert_eq!(daemon.ok(&["stop", "notes:alice", "--keep"]), "Stopped notes:alice\n");
    assert_eq!(daemon.status("notes:alice"), "stopped");
    assert_eq!(daemon.ok(&["-q", "stop", "notes:alice", "--purge"]), "");
    assert_eq!(daemon.ten(&["stop", "notes:alice"]).status.code(), Some(3));
    assert_eq!(daemon.ten(&["logs", "notes:alice"]).status.code(), Some(3));
}

#[test]
fn a_token_opens_the_api_over_http() {
    let daemon = TestDaemon::start(&notes("[instances]\nnotes = ['alice']"));
    let url = format!("http://127.0.0.1:{}", daemon.port);
    let made = daemon.ok(&["token-gen", "--name", "ci", "--expires", "1"]);
    let token = made.trim();
    assert!(token.starts_with("tenement_") && made.lines().count() == 1);
    let remote = |token: &str| {
        let mut command = crate::support::ten(daemon.folder.path(), &["--server", &url, "ps"]);
        command.env("TENEMENT_TOKEN", token).output().unwrap()
    };
    assert!(text(&remote(token).stdout).contains("notes:alice"));
    assert_eq!(remote("tenement_wrong").status.code(), Some(6));
    // Without one, the first token, which the daemon saved.
    let first = daemon.folder.path().join("data/api_token");
    assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(daemon.ok(&["--server", &url, "ps"]).contains("notes:alice"));
}

#[test]
fn failures_have_their_exit_codes() {
    let config = "[settings]\n[service.missing]\ncommand = '/nowhere/app'\n[service.silent]\ncommand = 'sleep 1000'\n\
        startup_timeout = '300ms'";
    let daemon = TestDaemon::start(config);
    let code = |arguments: &[&str]| daemon.ten(arguments).status.code();
    assert_eq!(code(&["spawn", "missing:a"]), Some(127));
    assert_eq!(code(&["spawn", "silent:a"]), Some(5));
    assert_eq!(code(&["spawn", "silent:b", "--timeout", "0.05"]), Some(5));
    assert_eq!(code(&["restart", "silent:never"]), Some(3));
    assert_eq!(code(&["health", "silent:never"]), Some(3));
    // faults: L9
    assert_eq!(code(&["stop", "all"]), Some(2));
    assert_eq!(code(&["stop", "all", "--yes"]), Some(0));
}

// faults: L4
#[test]
fn names_that_cannot_exist_are_refused_here_and_there() {
    let daemon = TestDaemon::start(&notes(""));
    let long = format!("notes:{}", "a".repeat(300));
    for name in
        ["notes:../../etc", "notes:a b", "notes:$(id)", "notes:%2e", "notes:🦀", "notes:", "notes", &long]
    {
        let refused = daemon.ten(&["spawn", name]);
        assert_eq!(refused.status.code(), Some(2), "{name}");
        assert_eq!(text(&refused.stderr).lines().count(), 1, "{name}");
    }
    assert_eq!(daemon.ok(&["ps", "--no-header"]), "");
    assert!(daemon.ok(&["spawn", "notes:ALICE"]).starts_with("Spawned notes:alice\n"));
}

// faults: L2
#[test]
fn a_daemon_that_is_not_there_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let missing = run(folder.path(), &["--data-dir", "data", "ps"]);
    let line = text(&missing.stderr);
    assert_eq!(missing.status.code(), Some(7));
    assert!(
        line.contains("data/admin.sock") && line.contains("ten serve") && line.lines().count() == 1,
        "{line}"
    );
    let free = Free::find();
    let nobody = run(folder.path(), &["--server", &format!("http://{}", free.address), "ps"]);
    assert_eq!(nobody.status.code(), Some(7));
    assert!(text(&nobody.stderr).contains("--server"));
}

// faults: L6
#[test]
fn without_a_terminal_there_are_no_escapes_and_json_is_json_for_errors_too() {
    let daemon = TestDaemon::start(
        "[service.rude]\ncommand = \"sh -c 'printf \\\"\\\\033]0;title\\\\007 red\\\\n\\\"; sleep 1000'\"",
    );
    daemon.ok(&["spawn", "rude:a", "--no-wait"]);
    crate::support::until("printed", || daemon.ok(&["logs", "rude:a"]).contains("red"));
    assert!(!daemon.ok(&["logs", "rude:a"]).contains('\u{1b}'));
    assert!(daemon.ok(&["logs", "rude:a", "--raw"]).contains("\u{1b}]0;title"));
    let list: serde_json::Value = serde_json::from_str(&daemon.ok(&["--json", "ps"])).unwrap();
    assert_eq!(list["instances"][0]["instance"], "rude:a");
    let failed = daemon.ten(&["--json", "restart", "rude:none"]);
    let error: serde_json::Value = serde_json::from_slice(&failed.stderr).unwrap();
    assert_eq!(error["exit_code"], 3);
    daemon.ok(&["stop", "rude:a"]);
}
