//! One of the two processes is killed in the midst of an upgrade, or the end is asked for.
//!
//! Where it is killed is where it makes a system call for the n-th time; strace(1) does it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Socket, ask, copy, daemon, host, life, log, upgrade};
use crate::support::{TestDaemon, text, until};

const IDS: [&str; 3] = ["a", "b", "c"];

/// A program that is `ten` under strace, which kills it or not.
fn traced(daemon: &TestDaemon, name: &str, call: &str, inject: &str) -> String {
    let path = daemon.folder.path().join(name);
    let ten = env!("CARGO_BIN_EXE_ten");
    // The process that was started becomes the traced one: the keeper knows it by its number. Once: daemons that are
    // started later are from this program too.
    let _ = fs::remove_dir(daemon.folder.path().join("used"));
    let script = format!(
        "#!/bin/sh\nmkdir used || exec '{ten}' \"$@\"\nexec strace -D -f -qqq -o /dev/null -e trace={call} -e inject={call}:{inject} '{ten}' \"$@\"\n"
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A daemon serves, all instances are there as they were, and nothing is there twice.
fn whole(daemon: &TestDaemon, before: &[(u64, u64)], what: &str) {
    until("a daemon", || {
        let asked = daemon.ten(&["ps"]);
        asked.status.success() && !daemon.is_draining()
    });
    for (id, before) in IDS.iter().zip(before) {
        assert_eq!(life(daemon, id), *before, "{what}: {id}: {}", log(daemon));
        let answer = ask(&mut daemon.connect(), &host(id), "/after");
        assert_eq!(answer, format!("{} /after", before.0), "{what}");
    }
    assert_eq!(daemon.processes().len(), IDS.len(), "{what}");
}

fn begin() -> (TestDaemon, Vec<(u64, u64)>) {
    let daemon = daemon("");
    IDS.iter().for_each(|id| drop(daemon.ok(&["spawn", &format!("app:{id}")])));
    let before = IDS.iter().map(|id| life(&daemon, id)).collect();
    (daemon, before)
}

// faults: D1 D10
#[test]
fn a_successor_that_is_killed_anywhere_leaves_everything_as_it_was() {
    let (daemon, before) = begin();
    let mut killed = 0;
    // Each of these is made while it prepares, while it waits or while it takes over.
    for (call, nth) in [
        ("openat", 10),
        ("openat", 30),
        ("openat", 60),
        ("recvmsg", 1),
        ("recvmsg", 3),
        ("sendmsg", 1),
        ("sendmsg", 2),
        ("sendmsg", 4),
        ("flock", 1),
        ("pidfd_open", 1),
        ("pidfd_open", 3),
        ("epoll_create1", 1),
        ("listen", 1),
        ("accept4", 1),
        ("fdatasync", 1),
        ("unlink", 1),
    ] {
        let what = format!("{call} {nth}");
        let binary = traced(&daemon, "traced", call, &format!("signal=KILL:when={nth}"));
        let output = daemon.ten(&["upgrade", &binary]);
        let said = text(&output.stderr);
        if !output.status.success() {
            killed += 1;
            assert!(said.contains("/traced'") || said.contains("broke off"), "{what}: {said}");
        }
        whole(&daemon, &before, &what);
    }
    assert!(killed > 5, "{killed}");
    // The last one may still have it before it.
    let last = daemon.daemon_pid();
    daemon.kill_daemon();
    until("started again", || daemon.daemon_pid() != last);
    upgrade(&daemon, &[env!("CARGO_BIN_EXE_ten")]);
    whole(&daemon, &before, "afterwards");
}

/// Attaches strace to the daemon, which kills it when it does that.
fn kill_at(daemon: &TestDaemon, call: &str, nth: u32) -> std::process::Child {
    let pid = daemon.daemon_pid();
    let inject = format!("--inject={call}:signal=KILL:when={nth}");
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-qqq",
        "-o",
        "/dev/null",
        "-e",
        &format!("trace={call}"),
        &inject,
        "-p",
        &pid.to_string(),
    ]);
    let strace = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("traced", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        !status.contains("TracerPid:\t0")
    });
    strace
}

// faults: D1 D10
#[test]
fn one_that_is_killed_while_it_lets_go_is_followed_all_the_same() {
    let (daemon, before) = begin();
    for (call, nth) in [
        ("recvmsg", 1),
        ("recvmsg", 2),
        ("recvmsg", 4),
        ("sendmsg", 1),
        ("sendmsg", 3),
        ("flock", 1),
        ("fdatasync", 1),
        ("fsync", 1),
        ("close", 3),
        ("close", 10),
        ("close", 30),
        ("munmap", 5),
    ] {
        let mut strace = kill_at(&daemon, call, nth);
        // Who is killed can't answer; the next one may.
        daemon.ten(&["upgrade"]);
        whole(&daemon, &before, &format!("{call} {nth}"));
        let _ = strace.kill();
        strace.wait().unwrap();
        whole(&daemon, &before, &format!("{call} {nth}, later"));
    }
    upgrade(&daemon, &[]);
    whole(&daemon, &before, "afterwards");
}

#[test]
fn one_that_is_killed_after_it_was_followed_takes_only_its_own_connections_with_it() {
    let (daemon, before) = begin();
    let (mut socket, first) = (Socket::open(&daemon, "a"), daemon.daemon_pid());
    upgrade(&daemon, &[]);
    socket.echo("still");
    kill_process(Pid::from_raw(first.cast_signed()).unwrap(), Signal::KILL).unwrap();
    until("cut", || std::io::Read::read(&mut socket.0, &mut [0; 16]).is_ok_and(|read| read == 0));
    whole(&daemon, &before, "killed");
    // And the one that followed it may be killed as any other.
    daemon.kill_daemon();
    whole(&daemon, &before, "killed again");
}

// faults: D2
#[test]
fn the_end_during_an_upgrade_is_the_end_of_everything() {
    for stage in ["preparing", "waiting", "taking"] {
        let (mut daemon, _) = begin();
        let socket = Socket::open(&daemon, "a");
        // Between the stages it stands still until it is told to go on.
        let wait = "until [ -e go ]; do sleep 0.01; done";
        let ten = env!("CARGO_BIN_EXE_ten");
        let path = daemon.folder.path().join("slow");
        let delay = match stage {
            "preparing" => format!("{wait}; exec '{ten}' \"$@\""),
            "waiting" => format!(
                "exec strace -D -qqq -o /dev/null -e trace=sendmsg --inject=sendmsg:delay_exit=700000:when=1 '{ten}' \"$@\""
            ),
            _ => format!(
                "exec strace -D -qqq -o /dev/null -e trace=flock --inject=flock:delay_enter=700000:when=1 '{ten}' \"$@\""
            ),
        };
        fs::write(&path, format!("#!/bin/sh\ntouch begun\n{delay}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let upgrading =
            crate::support::ten(daemon.folder.path(), &["--data-dir", "data", "upgrade", "./slow"])
                .stderr(Stdio::null())
                .stdout(Stdio::null())
                .spawn();
        let mut upgrading = upgrading.unwrap();
        until("begun", || match stage {
            "preparing" => daemon.folder.path().join("begun").exists(),
            _ => log(&daemon).contains("leaving everything to it"),
        });
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.wait(), Some(0), "{stage}: {}", log(&daemon));
        upgrading.wait().unwrap();
        assert_eq!(daemon.processes(), [0; 0], "{stage}");
        let mut socket = socket.0;
        assert!(std::io::Read::read_to_end(&mut socket, &mut Vec::new()).is_ok());
        assert!(!daemon.folder.path().join("data/admin.sock").exists(), "{stage}");
    }
}

// faults: D10
#[test]
fn the_former_program_is_started_again_if_another_one_fails_when_it_takes_over() {
    let (daemon, before) = begin();
    let binary = traced(&daemon, "late", "flock", "error=EIO:when=1");
    let mut socket = Socket::open(&daemon, "b");
    let output = daemon.ten(&["upgrade", &binary]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    whole(&daemon, &before, "failed");
    socket.echo("in the process that leaves");
    let said = log(&daemon);
    assert!(said.contains("the former program is started again"), "{said}");
    let other = copy(&daemon, "ten-other");
    upgrade(&daemon, &[&other]);
    whole(&daemon, &before, "afterwards");
}

// faults: D10
#[test]
fn without_its_keeper_an_upgrade_leaves_the_instances_and_says_what_to_do() {
    for stage in ["preparing", "taking"] {
        let (daemon, before) = begin();
        let first = daemon.daemon_pid();
        let binary = daemon.folder.path().join("slow");
        let (ten, call) = (env!("CARGO_BIN_EXE_ten"), "sendmsg");
        let program = match stage {
            // As long as the test needs it.
            "preparing" => "while [ -e begun ]; do sleep 0.01; done".to_owned(),
            // It has said that it could run, and can't go on before somebody kills what holds it.
            _ => format!(
                "exec strace -D -f -qqq -o /dev/null -e trace={call} -e inject={call}:delay_exit=5000000:when=1 '{ten}' \"$@\""
            ),
        };
        fs::write(&binary, format!("#!/bin/sh\ntouch begun\n{program}\n")).unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
        let upgrading =
            crate::support::ten(daemon.folder.path(), &["--data-dir", "data", "upgrade", "./slow"])
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
        until("begun", || match stage {
            "preparing" => daemon.folder.path().join("begun").exists(),
            _ => log(&daemon).contains("leaving everything to it"),
        });
        let port = daemon.port.to_string();
        let folder = daemon.orphan();
        let ended = upgrading.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{stage}: {}", text(&ended.stderr));
        assert!(text(&ended.stderr).contains("ten serve"), "{stage}: {}", text(&ended.stderr));
        fs::remove_file(folder.path().join("begun")).unwrap();
        let daemon = TestDaemon::start_in(folder, &["--port", &port]);
        assert_ne!(daemon.daemon_pid(), first);
        whole(&daemon, &before, stage);
    }
}
