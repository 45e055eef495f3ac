//! The keeper, and the daemon when one of the two is killed.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{NOTHING, PATIENCE, TestDaemon, until};

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

fn log(daemon: &TestDaemon) -> String {
    fs::read_to_string(daemon.folder.path().join("daemon.log")).unwrap()
}

/// Kills the daemon and waits until another one answers.
fn replace(daemon: &TestDaemon) {
    let before = daemon.daemon_pid();
    daemon.kill_daemon();
    until("started again", || daemon.daemon_pid() != before);
    assert!(daemon.get("localhost", "/health").starts_with("HTTP/1.1 200 "));
}

// faults: D5
#[test]
fn a_killed_daemon_refuses_no_connection_and_answers_who_connects_meanwhile() {
    const CLIENTS: usize = 3;
    const KILLS: usize = 3;
    let daemon = TestDaemon::start(NOTHING);
    let (asked, done) = (AtomicU64::new(0), AtomicBool::new(false));
    // Whoever was accepted by the one that is killed gets nothing; to connect never fails.
    let ask = || {
        let (mut answered, mut cut) = (0_usize, 0_usize);
        while !done.load(Ordering::Relaxed) {
            let mut stream = TcpStream::connect(("127.0.0.1", daemon.port)).expect("refused");
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut answer = String::new();
            let asking =
                stream.write_all(HEALTH.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
            match asking {
                Ok(_) if answer.starts_with("HTTP/1.1 200 ") => answered += 1,
                _ => cut += 1,
            }
            asked.fetch_add(1, Ordering::Relaxed);
        }
        (answered, cut)
    };
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    thread::scope(|scope| {
        let is_done = Done(&done);
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        for _ in 0..KILLS {
            let before = asked.load(Ordering::Relaxed);
            until("asked", || asked.load(Ordering::Relaxed) > before + 20);
            replace(&daemon);
        }
        drop(is_done);
        for client in clients {
            let (answered, cut) = client.join().unwrap();
            assert!(answered > 0 && cut <= KILLS, "{answered} answered, {cut} cut");
        }
    });
    let log = log(&daemon);
    assert!(log.contains("ten: the daemon is gone (killed by SIGKILL): it is started again now"), "{log}");
}

#[test]
fn a_connection_that_nobody_accepted_yet_is_answered_by_the_next_daemon() {
    let daemon = TestDaemon::start(NOTHING);
    let pid = Pid::from_raw(daemon.daemon_pid().cast_signed()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    until("stopped", || {
        let threads = fs::read_dir(format!("/proc/{}/task", daemon.daemon_pid())).unwrap().flatten();
        let mut stats = threads.map(|thread| fs::read_to_string(thread.path().join("stat")).unwrap());
        stats.all(|stat| stat.rsplit_once(')').unwrap().1.starts_with(" T"))
    });
    let mut waiting: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = daemon.connect();
            stream.write_all(HEALTH.as_bytes()).unwrap();
            stream
        })
        .collect();
    daemon.kill_daemon();
    for stream in &mut waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[test]
fn a_command_waits_for_a_daemon_that_is_started_again() {
    let daemon = TestDaemon::start(NOTHING);
    for _ in 0..3 {
        daemon.kill_daemon();
        daemon.ok(&["status"]);
    }
    assert!(!log(&daemon).contains("keeper is gone"));
}
