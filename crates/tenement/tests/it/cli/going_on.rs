//! Commands that end before what they asked for, or that ask for several things.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Child, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{NOTHING, TestDaemon, notes, ten, text, until};

/// It starts and never becomes ready.
const SILENT: &str = "[service.silent]\ncommand = 'sleep 1000'\nstartup_timeout = '1h'";

fn start(daemon: &TestDaemon, arguments: &[&str]) -> Child {
    let mut command = ten(daemon.folder.path(), &["--data-dir", "data"]);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn interrupt(child: Child) -> Output {
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    child.wait_with_output().unwrap()
}

// faults: L5
#[test]
fn after_an_interrupt_the_daemon_goes_on_and_that_is_said() {
    let daemon = TestDaemon::start(SILENT);
    let spawning = start(&daemon, &["spawn", "silent:a"]);
    until("starting", || daemon.status("silent:a") == "starting" && daemon.processes().len() == 1);
    let interrupted = interrupt(spawning);
    let line = text(&interrupted.stderr);
    assert_eq!(interrupted.status.code(), Some(130), "{line}");
    assert!(line.contains("the daemon goes on") && line.lines().count() == 1, "{line}");
    assert_eq!(daemon.status("silent:a"), "starting");
    assert_eq!(daemon.ok(&["stop", "silent:a"]), "Stopped silent:a\n");
    let slow = daemon.ten(&["spawn", "silent:a", "--timeout", "0.05"]);
    assert_eq!(slow.status.code(), Some(5));
    assert!(text(&slow.stderr).contains("the daemon goes on"), "{}", text(&slow.stderr));
    until("starting", || daemon.status("silent:a") == "starting");
    daemon.ok(&["stop", "all", "--yes"]);
}

#[test]
fn a_restart_that_takes_too_long_is_told_and_goes_on() {
    let daemon = TestDaemon::start(SILENT);
    daemon.ok(&["spawn", "silent:a", "--no-wait"]);
    let slow = daemon.ten(&["restart", "silent:a", "--wait", "--timeout", "0.05"]);
    assert_eq!(slow.status.code(), Some(5), "{}", text(&slow.stderr));
    assert!(text(&slow.stderr).contains("the daemon goes on"), "{}", text(&slow.stderr));
    daemon.ok(&["stop", "all", "--yes"]);
}

#[test]
fn a_spawn_that_restarts_waits_and_brings_its_environment() {
    let daemon = TestDaemon::start(&notes(""));
    let environment = || {
        let [pid] = daemon.processes()[..] else { panic!("not one process") };
        text(&fs::read(format!("/proc/{pid}/environ")).unwrap())
    };
    daemon.ok(&["spawn", "notes:alice", "--env", "PLAN=pro", "--env", "URL=a=b"]);
    assert!(environment().contains("PLAN=pro\0") && environment().contains("URL=a=b\0"));
    let restarted = daemon.ok(&["spawn", "notes:alice", "--restart"]);
    assert!(restarted.starts_with("Restarted notes:alice\nSocket: "), "{restarted}");
    assert_eq!(daemon.status("notes:alice"), "running");
    assert!(environment().contains("PLAN=pro\0"));
    daemon.ok(&["spawn", "notes:alice", "--restart", "--env", "PLAN=free"]);
    assert!(environment().contains("PLAN=free\0") && !environment().contains("URL="));
    assert_eq!(daemon.ten(&["spawn", "notes:bob", "--env", "PLAN"]).status.code(), Some(2));
    assert_eq!(daemon.status("notes:bob"), "");
}

#[test]
fn several_instances_are_worked_through_and_the_first_failure_counts() {
    let daemon = TestDaemon::start(&notes("[instances]\nnotes = ['a', 'b']"));
    until("up", || daemon.status("notes:a") == "running" && daemon.status("notes:b") == "running");
    let restarted = daemon.ten(&["restart", "notes:a", "notes:none", "notes:b", "--wait"]);
    assert_eq!(text(&restarted.stdout), "Restarted notes:a\nRestarted notes:b\n");
    assert_eq!(restarted.status.code(), Some(3));
    // A name that can't exist stops it all before it begins.
    assert_eq!(daemon.ten(&["stop", "notes:a", "notes:$(id)"]).status.code(), Some(2));
    assert_eq!(daemon.status("notes:a"), "running");
    let stopped = daemon.ten(&["stop", "notes:none", "notes:a", "notes:b"]);
    assert_eq!(text(&stopped.stdout), "Stopped notes:a\nStopped notes:b\n");
    assert_eq!((stopped.status.code(), daemon.processes().len()), (Some(3), 0));
}

// faults: L9
#[test]
fn stopping_all_needs_a_yes_where_nobody_can_be_asked() {
    let daemon = TestDaemon::start(&notes("[instances]\nnotes = ['a', 'b']"));
    until("up", || daemon.status("notes:a") == "running" && daemon.status("notes:b") == "running");
    let refused = start(&daemon, &["stop", "all"]).wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--yes"));
    assert_eq!(daemon.processes().len(), 2);
    assert_eq!(daemon.ok(&["stop", "all", "--yes"]), "Stopped notes:a\nStopped notes:b\n");
    assert_eq!(daemon.processes().len(), 0);
}

#[test]
fn more_lines_than_one_answer_has_come_page_by_page() {
    let daemon = TestDaemon::start(
        "[service.count]\ncommand = \"sh -c 'seq 2500; sleep 1000'\"\nstartup_timeout = '1h'",
    );
    daemon.ok(&["spawn", "count:a", "--no-wait"]);
    until("printed", || daemon.ok(&["logs", "count:a", "-n", "1"]).ends_with(" 2500\n"));
    let shown = daemon.ok(&["logs", "count:a", "--lines", "2100"]);
    let numbers: Vec<u32> =
        shown.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (401..=2500).collect::<Vec<_>>());
    assert_eq!(daemon.ok(&["logs", "--service", "count", "--grep", "^25.0$"]).lines().count(), 1);
    assert_eq!(daemon.ok(&["logs", "count:a", "-n", "0"]), "");
    assert_eq!(daemon.ten(&["logs", "--grep", "("]).status.code(), Some(2));
    assert_eq!(daemon.ten(&["logs", "--level", "loud"]).status.code(), Some(2));
    daemon.ok(&["stop", "count:a"]);
}

#[test]
fn a_saved_token_is_private_whatever_was_there() {
    let daemon = TestDaemon::start(NOTHING);
    let data = daemon.folder.path().join("data");
    let stale = data.join("api_token.saving");
    fs::write(&stale, "older").unwrap();
    fs::set_permissions(&stale, fs::Permissions::from_mode(0o666)).unwrap();
    let token = daemon.ok(&["token-gen", "--name", "ci", "--save"]);
    let path = data.join("api_token");
    assert_eq!(fs::read_to_string(&path).unwrap(), token);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!stale.exists());
    for wrong in [["--expires", "0"], ["--scope", "all"], ["--service", "../x"], ["--instance", "api"]] {
        assert_eq!(daemon.ten(&["token-gen", wrong[0], wrong[1]]).status.code(), Some(2), "{wrong:?}");
    }
}
