#![allow(clippy::disallowed_methods, reason = "processes that are not instances")]

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
};

use super::*;
use crate::process::{Host, Process, Recovered, Stat, Strategy};

const NEVER_REAPED: &str = "exec sleep 1000";

/// A process whose parent is not this one, and which ends when it is told to.
struct Foreign {
    parent: Child,
    go: Option<ChildStdin>,
    process: Process,
    _host: Host,
    _dir: tempfile::TempDir,
}

impl Foreign {
    /// `then`: what its parent does. The process ends with code 7.
    fn start(then: &str) -> Self {
        let script = format!("exec 3<&0; (read line <&3; exit 7) & echo $!; {then}");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut parent = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = line.trim().parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let host = Host::with_strategy(dir.path(), Strategy::Walk).unwrap();
        let handle = Handle {
            pid,
            start_time: Stat::read(pid).unwrap().start_time,
            boot_id: crate::process::procfs::boot_id().unwrap(),
            run: 1,
            strategy: Strategy::Walk,
            cgroup: None,
            marker: None,
        };
        let Ok(Recovered::Running(process)) = host.recover(&handle) else { panic!("not taken on") };
        assert_eq!(process.try_exited(), None);
        // A shell may take the status of a child that ends before the shell has become something else.
        let name = || std::fs::read_to_string(format!("/proc/{}/comm", parent.id())).unwrap();
        while then == NEVER_REAPED && name().trim_end() != "sleep" {
            std::thread::yield_now();
        }
        Self { go: parent.stdin.take(), parent, process, _host: host, _dir: dir }
    }

    fn go(&mut self) {
        self.go.take().unwrap().write_all(b"\n").unwrap();
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}

fn exit(code: i32) -> Exit {
    Exit { status: Status::Code(code), oom: false }
}

fn knows_exits() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(15))
}

#[tokio::test]
async fn the_kernel_tells_the_status_of_another_s_child_once_that_has_taken_it() {
    let mut foreign = Foreign::start("wait; exec sleep 1000");
    expect(true);
    foreign.go();
    let ended = foreign.process.exited().await;
    assert_eq!(ended, if knows_exits() { exit(7) } else { Exit::UNKNOWN });
}

#[tokio::test]
async fn a_note_that_comes_later_is_waited_for() {
    let mut foreign = Foreign::start(NEVER_REAPED);
    expect(true);
    foreign.go();
    let process = foreign.process.clone();
    let waiting = tokio::spawn(async move { process.exited().await });
    while !crate::process::pidfd::has_ended(&crate::process::pidfd::open(foreign.process.pid()).unwrap()) {
        tokio::task::yield_now().await;
    }
    assert_eq!(foreign.process.try_exited(), None, "it may still come");
    let handle = foreign.process.handle();
    assert_eq!(noted(handle), None);
    note(handle.pid, handle.start_time + 1, exit(1), WallMillis(1));
    note(handle.pid, handle.start_time, exit(42), WallMillis(2));
    assert_eq!(waiting.await.unwrap(), exit(42));
    assert_eq!(noted(handle), Some(Noted { exit: exit(42), at: WallMillis(2) }));
}

#[tokio::test]
async fn a_note_that_never_comes_is_not_waited_for_long() {
    let mut foreign = Foreign::start(NEVER_REAPED);
    expect(true);
    foreign.go();
    assert_eq!(foreign.process.exited().await, Exit::UNKNOWN);
}

#[tokio::test]
async fn a_keeper_that_is_gone_is_not_waited_for() {
    let mut foreign = Foreign::start(NEVER_REAPED);
    expect(true);
    foreign.go();
    let process = foreign.process.clone();
    let waiting = tokio::spawn(async move { process.exited().await });
    expect(false);
    assert_eq!(waiting.await.unwrap(), Exit::UNKNOWN);
}

#[test]
fn the_oldest_notes_go_first() {
    let count = u32::try_from(KEPT).unwrap();
    (0..=count).for_each(|pid| note(pid, 1, exit(0), WallMillis(0)));
    let handle = |pid| Handle {
        pid,
        start_time: 1,
        boot_id: crate::process::procfs::boot_id().unwrap(),
        run: 1,
        strategy: Strategy::Walk,
        cgroup: None,
        marker: None,
    };
    assert!(noted(&handle(0)).is_none() && noted(&handle(1)).is_some() && noted(&handle(count)).is_some());
    assert!(noted(&Handle { boot_id: "another".into(), ..handle(1) }).is_none());
}

#[test]
fn what_nobody_asks_for_is_forgotten_and_told() {
    (0..4).for_each(|pid| note(pid, 7, exit(0), WallMillis(0)));
    let mut forgotten = forget(|pid, start_time| start_time == 7 && pid % 2 == 0);
    forgotten.sort_unstable();
    assert_eq!(forgotten, [(1, 7), (3, 7)]);
    assert_eq!(forget(|_, _| true), []);
    assert_eq!(forget(|_, _| false).len(), 2);
}
