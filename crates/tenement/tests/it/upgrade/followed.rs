//! A daemon that leaves has ten minutes, and who serves meanwhile may be another one than its successor: that was killed, was
//! followed itself, or has got another keeper.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Socket, answer, ask, daemon, file, head, host, life, log, naps, upgrade};
use crate::support::{TestDaemon, until};

/// What goes on in the first daemon: a WebSocket to `a`, a download from `d`. Nobody uses `b`.
struct Used {
    socket: Socket,
    download: TcpStream,
    before: [(u64, u64); 2],
}

impl Used {
    fn begin(daemon: &TestDaemon) -> Self {
        ["a", "b", "d"].iter().for_each(|id| drop(daemon.ok(&["spawn", &format!("app:{id}")])));
        let socket = Socket::open(daemon, "a");
        let mut download = daemon.connect();
        write!(download, "GET /download HTTP/1.1\r\nHost: {}\r\n\r\n", host("d")).unwrap();
        assert!(head(&mut download).starts_with("HTTP/1.1 200 "));
        Self { socket, download, before: ["a", "d"].map(|id| life(daemon, id)) }
    }

    /// It goes on, though nobody else uses those instances.
    fn goes_on(&mut self, daemon: &TestDaemon, what: &str) {
        naps(daemon, "b");
        assert_eq!(["a", "d"].map(|id| life(daemon, id)), self.before, "{what}");
        self.socket.echo(what);
    }

    /// It ends as if nothing had been, and then they fall asleep.
    fn end(mut self, daemon: &TestDaemon) {
        fs::write(file(daemon, "d", "go"), "").unwrap();
        let mut body = vec![0; 600_000];
        self.download.read_exact(&mut body).unwrap();
        assert!(body.iter().all(|&byte| byte == b'x'));
        // Its connection is served by who serves now.
        assert!(ask(&mut self.download, &host("d"), "/after").ends_with("/after"));
        self.socket.close();
        for id in ["a", "d"] {
            until("asleep", || daemon.status(&format!("app:{id}")) == "sleeping");
        }
    }
}

fn kill_current(daemon: &TestDaemon) {
    let before = daemon.daemon_pid();
    daemon.kill_daemon();
    until("started again", || daemon.daemon_pid() != before);
    assert!(daemon.get("localhost", "/health").starts_with("HTTP/1.1 200 "));
}

fn doors(daemon: &TestDaemon) -> Vec<String> {
    let entries = fs::read_dir(daemon.folder.path().join("data")).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("way.")).collect()
}

// faults: D1 D10 W7
#[test]
fn what_a_daemon_that_leaves_still_uses_stays_awake_when_its_successor_is_killed() {
    let daemon = daemon("idle_timeout = 1");
    let mut used = Used::begin(&daemon);
    upgrade(&daemon, &[]);
    used.goes_on(&daemon, "followed");
    for round in ["killed", "killed again"] {
        kill_current(&daemon);
        used.goes_on(&daemon, round);
    }
    upgrade(&daemon, &[]);
    used.goes_on(&daemon, "followed after a kill");
    used.end(&daemon);
    until("all have left", || doors(&daemon).is_empty());
}

// faults: D1 D10 W7
#[test]
fn who_comes_between_a_daemon_that_leaves_and_the_one_that_serves_is_not_needed() {
    let daemon = daemon("idle_timeout = 1");
    let mut used = Used::begin(&daemon);
    upgrade(&daemon, &[]);
    // This one has something to finish as well, and so have those after it.
    let mut later = Vec::new();
    for round in 0..3 {
        daemon.ok(&["spawn", &format!("app:l{round}")]);
        later.push((Socket::open(&daemon, &format!("l{round}")), daemon.daemon_pid()));
        upgrade(&daemon, &[]);
    }
    assert_eq!(doors(&daemon).len(), 4);
    used.goes_on(&daemon, "followed by the fifth");
    for (mut socket, pid) in later {
        socket.echo("still");
        kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
        until("cut", || socket.0.read(&mut [0; 16]).is_ok_and(|read| read == 0));
    }
    used.goes_on(&daemon, "those in between are killed");
    kill_current(&daemon);
    used.goes_on(&daemon, "the last one too");
    assert_eq!(doors(&daemon).len(), 1, "those of killed ones are removed");
    used.end(&daemon);
}

// faults: D1 D10 W7
#[test]
fn what_a_daemon_that_leaves_still_uses_stays_awake_under_another_keeper() {
    let first = daemon("idle_timeout = 1");
    let mut used = Used::begin(&first);
    upgrade(&first, &[]);
    let port = first.port.to_string();
    let folder = first.orphan();
    let daemon = TestDaemon::start_in(folder, &["--port", &port]);
    used.goes_on(&daemon, "another keeper");
    kill_current(&daemon);
    used.goes_on(&daemon, "and another daemon");
    upgrade(&daemon, &[]);
    used.goes_on(&daemon, "followed");
    used.end(&daemon);
    until("all have left", || doors(&daemon).is_empty());
}

// faults: D10
#[test]
fn a_connection_whose_answer_ends_while_nobody_serves_waits_for_the_next_daemon() {
    let daemon = daemon("");
    let mut used = Used::begin(&daemon);
    upgrade(&daemon, &[]);
    // A keeper that stands still starts no other one.
    daemon.signal(Signal::STOP);
    let process = format!("/proc/{}", daemon.daemon_pid());
    daemon.kill_daemon();
    // With its last thread its sockets are closed.
    let threads = || fs::read_dir(format!("{process}/task")).unwrap().count();
    let is_dead = || fs::read_to_string(format!("{process}/stat")).unwrap().contains(") Z ");
    until("dead", || is_dead() && threads() == 1);
    fs::write(file(&daemon, "d", "go"), "").unwrap();
    let mut body = vec![0; 600_000];
    used.download.read_exact(&mut body).unwrap();
    write!(used.download, "GET /next HTTP/1.1\r\nHost: {}\r\n\r\n", host("d")).unwrap();
    until("waiting", || log(&daemon).contains("waiting for the next one"));
    daemon.signal(Signal::CONT);
    let (head, body) = answer(&mut used.download);
    assert!(head.starts_with("HTTP/1.1 200 ") && body.ends_with("/next"), "{head}{body}");
    used.socket.close();
}
