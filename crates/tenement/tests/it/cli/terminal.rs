//! What a person at a terminal sees.

use std::{
    fs::File,
    io::Read,
    process::{Command, Stdio},
};

use rustix::{
    fs::{Mode, OFlags},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use crate::support::{NOTHING, TestDaemon, ten, text, until};

/// It prints a warning and never becomes ready.
const RUDE: &str =
    "[service.rude]\ncommand = \"sh -c 'echo WARN mind the gap; sleep 1000'\"\nstartup_timeout = '1h'";
pub(super) const ENTER: &str = "\x1b[?1049h";
pub(super) const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// A terminal: our side and the program's.
pub(super) fn terminal() -> (File, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (ours.into(), theirs.into())
}

/// A command whose output is a terminal that can do everything.
fn at_terminal(daemon: &TestDaemon, arguments: &[&str]) -> (File, Command) {
    let (ours, theirs) = terminal();
    let mut command = ten(daemon.folder.path(), &["--data-dir", "data"]);
    command.args(arguments).stdin(Stdio::null()).stdout(theirs).stderr(Stdio::null());
    command.env_remove("NO_COLOR").env_remove("COLUMNS").env("TERM", "xterm-256color");
    (ours, command)
}

/// Everything until the last one who could write is gone, which Linux calls EIO.
pub(super) fn rest(mut ours: File) -> String {
    let mut all = Vec::new();
    let _ = ours.read_to_end(&mut all);
    text(&all)
}

fn shown(daemon: &TestDaemon, arguments: &[&str], change: impl FnOnce(&mut Command)) -> String {
    let (ours, mut command) = at_terminal(daemon, arguments);
    change(&mut command);
    let mut child = command.spawn().unwrap();
    // Or the terminal stays open in this process.
    drop(command);
    let all = rest(ours);
    assert!(child.wait().unwrap().success());
    all
}

// faults: L6
#[test]
fn colours_are_for_terminals_that_have_and_people_who_want_them() {
    let daemon = TestDaemon::start(RUDE);
    daemon.ok(&["spawn", "rude:a", "--no-wait"]);
    until("printed", || daemon.ok(&["logs"]).contains("mind the gap"));
    assert!(shown(&daemon, &["logs"], |_| {}).contains("\x1b[33mwarn"));
    let plain = [
        shown(&daemon, &["logs", "--no-color"], |_| {}),
        shown(&daemon, &["--json", "logs"], |_| {}),
        shown(&daemon, &["logs"], |command| {
            command.env("NO_COLOR", "1");
        }),
        shown(&daemon, &["logs"], |command| {
            command.env("TERM", "dumb");
        }),
        daemon.ok(&["logs"]),
    ];
    assert!(plain.iter().all(|text| text.contains("mind the gap") && !text.contains('\x1b')), "{plain:?}");
    let narrow = shown(&daemon, &["ps"], |command| {
        command.env("COLUMNS", "20");
    });
    assert!(narrow.lines().count() == 2 && narrow.lines().all(|line| line.chars().count() <= 20), "{narrow}");
    let foreign = shown(&daemon, &["ps"], |command| {
        command.env("LC_ALL", "C");
    });
    assert!(foreign.is_ascii(), "{foreign}");
    daemon.ok(&["stop", "rude:a"]);
}

// faults: L6
#[test]
fn a_watch_has_a_screen_of_its_own_and_gives_it_back() {
    let daemon = TestDaemon::start(RUDE);
    daemon.ok(&["spawn", "rude:a", "--no-wait"]);
    let (mut ours, mut command) = at_terminal(&daemon, &["ps", "-w"]);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut seen = Vec::new();
    // Two pictures: it does not end by itself.
    while String::from_utf8_lossy(&seen).matches("rude:a").count() < 2 {
        let mut part = [0; 4096];
        let read = ours.read(&mut part).unwrap();
        seen.extend_from_slice(&part[..read]);
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let all = text(&seen) + &rest(ours);
    assert_eq!(child.wait().unwrap().code(), Some(0), "the one way to end it");
    assert!(all.starts_with(ENTER) && all.ends_with(LEAVE), "{all:?}");
    daemon.ok(&["stop", "rude:a"]);
}

/// Reads until it has been shown.
fn see(ours: &mut File, what: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(what) {
        let mut part = [0; 4096];
        let read = ours.read(&mut part).unwrap();
        seen.extend_from_slice(&part[..read]);
    }
}

#[test]
fn a_watch_waits_for_a_daemon_that_went_away() {
    let daemon = TestDaemon::start(RUDE);
    daemon.ok(&["spawn", "rude:a", "--no-wait"]);
    let (mut ours, mut command) = at_terminal(&daemon, &["ps", "-w"]);
    let mut child = command.spawn().unwrap();
    drop(command);
    see(&mut ours, "starting");
    let folder = daemon.stop();
    see(&mut ours, "ten: no daemon runs at");
    let daemon = TestDaemon::start_in(folder, &[]);
    daemon.ok(&["spawn", "rude:b", "--no-wait"]);
    see(&mut ours, "rude:b");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert!(rest(ours).ends_with(LEAVE));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

// faults: L6
#[test]
fn a_watch_into_a_pipe_has_no_escapes_and_ends_with_its_reader() {
    let daemon = TestDaemon::start(NOTHING);
    let mut command = ten(daemon.folder.path(), &["--data-dir", "data", "ps", "-w"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 8];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"INSTANCE");
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), text(&ended.stderr)), (Some(0), String::new()));
}
