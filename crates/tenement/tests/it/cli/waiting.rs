//! What a person sees while a command waits.

use std::{
    fs::File,
    io::Read,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::terminal::{rest, terminal};
use crate::support::{TestDaemon, ten, text};

/// It never becomes ready.
const SILENT: &str =
    "[settings]\nstop_timeout = 60\n[service.silent]\ncommand = 'sleep 1000'\nstartup_timeout = '1h'";

/// A command whose standard error is a terminal.
fn begin(daemon: &TestDaemon, arguments: &[&str], change: impl FnOnce(&mut Command)) -> (File, Child) {
    let (ours, theirs) = terminal();
    let mut command = ten(daemon.folder.path(), &["--data-dir", "data"]);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(theirs);
    command.env_remove("COLUMNS").env("TERM", "xterm-256color");
    change(&mut command);
    let child = command.spawn().unwrap();
    // Or the terminal stays open in this process.
    drop(command);
    (ours, child)
}

/// Reads until it has been shown so often.
fn see(ours: &mut File, what: &str, times: usize) -> String {
    let mut seen = String::new();
    while seen.matches(what).count() < times {
        let mut part = [0; 4096];
        let read = ours.read(&mut part).unwrap();
        seen.push_str(&text(&part[..read]));
    }
    seen
}

// faults: L5 L6
#[test]
fn a_line_tells_what_is_waited_for_and_goes_away_again() {
    let daemon = TestDaemon::start(SILENT);
    let (mut ours, mut child) = begin(&daemon, &["spawn", "silent:a"], |_| {});
    let seen = see(&mut ours, "Starting silent:a... ", 2);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let all = seen + &rest(ours);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(all.starts_with("\rStarting silent:a... "), "{all:?}");
    let last = all.trim_end().rsplit('\r').next().unwrap();
    assert!(last.starts_with("ten: interrupted; the daemon goes on with it"), "{all:?}");
    assert!(!all.contains('\x1b') && all.contains(&format!("\r{}", " ".repeat(23))), "{all:?}");
    daemon.ok(&["stop", "silent:a"]);
}

// faults: L6
#[test]
fn a_line_fits_and_is_only_for_people_at_a_terminal_that_wants_it() {
    let daemon = TestDaemon::start(SILENT);
    let (mut ours, mut child) = begin(&daemon, &["spawn", "silent:a"], |command| {
        command.env("COLUMNS", "10");
    });
    let seen = see(&mut ours, "Starting ", 1);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let all = seen + &rest(ours);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(all.starts_with("\rStarting \r"), "{all:?}");
    daemon.ok(&["stop", "silent:a"]);
    for (arguments, term) in [
        (&["-q", "spawn", "silent:a", "--timeout", "1"][..], "xterm"),
        (&["--json", "spawn", "silent:a", "--timeout", "1"], "xterm"),
        (&["spawn", "silent:a", "--timeout", "1"], "dumb"),
    ] {
        let (ours, mut child) = begin(&daemon, arguments, |command| {
            command.env("TERM", term);
        });
        let all = rest(ours);
        assert_eq!(child.wait().unwrap().code(), Some(5));
        assert!(!all.contains("Starting") && all.lines().count() == 1, "{all:?}");
        daemon.ok(&["stop", "silent:a"]);
    }
}
