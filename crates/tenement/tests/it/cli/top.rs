//! `ten top` at a terminal.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use serde_json::json;

use super::{
    stub::{Answer, Stub},
    terminal::{ENTER, LEAVE, rest, terminal},
};
use crate::support::text;

fn stub() -> Stub {
    Stub::start(|_, _| {
        let instance = |name: &str, cpu: f64| json!({ "instance": name, "status": "running", "health": "healthy", "memory_mb": 3.0, "cpu_percent": cpu });
        Answer::Json(
            200,
            json!({ "instances": [instance("api:calm", 1.0), instance("api:busy", 99.0)] }).to_string(),
        )
    })
}

/// At a terminal of 80 columns and 24 rows, which stays open on our side.
fn begin(stub: &Stub, arguments: &[&str]) -> (File, File, Child) {
    let (ours, theirs) = terminal();
    tcsetwinsize(&ours, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let mut command = stub.command(arguments);
    let side = || Stdio::from(theirs.try_clone().unwrap());
    command.stdin(side()).stdout(side()).stderr(side());
    command.env_remove("NO_COLOR").env_remove("COLUMNS").env("TERM", "xterm-256color");
    (ours, theirs, command.spawn().unwrap())
}

fn see(ours: &mut File, what: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(what) {
        let mut part = [0; 4096];
        let read = ours.read(&mut part).unwrap();
        seen.extend_from_slice(&part[..read]);
    }
    text(&seen)
}

/// Whether it takes lines and shows what is typed, as a shell wants it.
fn is_as_before(theirs: &File) -> bool {
    tcgetattr(theirs).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
}

// faults: L6
#[test]
fn keys_sort_and_q_gives_the_terminal_back() {
    let stub = stub();
    let (mut ours, theirs, mut child) = begin(&stub, &["top"]);
    let seen = see(&mut ours, "q quit");
    assert!(seen.starts_with("\x1b[?1049h") && ENTER.starts_with("\x1b[?1049h"), "{seen:?}");
    assert!(seen.find("api:busy") < seen.find("api:calm"), "{seen:?}");
    assert!(!is_as_before(&theirs));
    // To the left of CPU is MEMORY.
    ours.write_all(b"<").unwrap();
    see(&mut ours, "MEMORY v");
    ours.write_all(b"q").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(is_as_before(&theirs));
    drop(theirs);
    let all = rest(ours);
    assert!(all.contains("\x1b[?1049l") && all.contains("\x1b[?25h"), "{all:?}");
    assert!(LEAVE.contains("\x1b[?1049l"));
}

// faults: L6
#[test]
fn signals_give_the_terminal_back_too() {
    let stub = stub();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let (mut ours, theirs, mut child) = begin(&stub, &["top", "--sort", "memory"]);
        see(&mut ours, "q quit");
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal:?}");
        assert!(is_as_before(&theirs), "{signal:?}");
        drop(theirs);
        assert!(rest(ours).contains("\x1b[?1049l"), "{signal:?}");
    }
}

#[test]
fn a_daemon_that_goes_away_is_told_and_waited_for() {
    static AWAY: AtomicBool = AtomicBool::new(false);
    let stub = Stub::start(|_, _| match AWAY.load(Ordering::SeqCst) {
        false => Answer::Json(200, json!({ "instances": [] }).to_string()),
        true => {
            let refusal = json!({ "error": "service_unavailable", "message": "it drains", "status": 503 });
            Answer::Json(503, refusal.to_string())
        }
    });
    let (mut ours, theirs, mut child) = begin(&stub, &["top"]);
    see(&mut ours, "q quit");
    AWAY.store(true, Ordering::SeqCst);
    see(&mut ours, "drains");
    AWAY.store(false, Ordering::SeqCst);
    see(&mut ours, "quit");
    ours.write_all(b"\x03").unwrap();
    assert_eq!((child.wait().unwrap().code(), is_as_before(&theirs)), (Some(0), true));
}

// faults: L6
#[test]
fn without_a_terminal_it_is_refused_with_what_to_do() {
    let stub = stub();
    let refused = stub.ten(&["top"]);
    assert_eq!(refused.status.code(), Some(2));
    let line = text(&refused.stderr);
    assert!(line.contains("ten ps") && line.lines().count() == 1 && refused.stdout.is_empty(), "{line}");
    assert!(stub.lines().is_empty());
}

// faults: L2
#[test]
fn without_a_daemon_the_screen_stays_as_it_is() {
    let stub = stub();
    std::fs::remove_file(stub.folder.path().join("data/admin.sock")).unwrap();
    let (ours, theirs, mut child) = begin(&stub, &["top"]);
    assert_eq!(child.wait().unwrap().code(), Some(7));
    drop(theirs);
    let all = rest(ours);
    assert!(all.starts_with("ten: no daemon runs at") && !all.contains('\x1b'), "{all:?}");
}
