//! The keeper, and the daemon when one of the two is killed.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{NOTHING, PATIENCE, TestDaemon, end_of, notes, run, text, until};

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

/// Stops the daemon, all of its threads.
fn stop(daemon: &TestDaemon) {
    let pid = daemon.daemon_pid();
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::STOP).unwrap();
    until("stopped", || {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let mut stats = threads.map(|thread| fs::read_to_string(thread.path().join("stat")).unwrap());
        stats.all(|stat| stat.rsplit_once(')').unwrap().1.starts_with(" T"))
    });
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
    stop(&daemon);
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

fn write(daemon: &TestDaemon, config: &str) {
    fs::write(daemon.folder.path().join("tenement.toml"), config).unwrap();
}

#[test]
fn a_daemon_that_is_started_again_has_the_configuration_that_was_in_effect() {
    let daemon = TestDaemon::start(&notes("log_retention = '3d'"));
    write(&daemon, &notes("log_retention = '2d'\nautostart = false"));
    daemon.ok(&["retention", "--apply"]);
    write(&daemon, "[service.notes\ncommand = ");
    replace(&daemon);
    daemon.ok(&["spawn", "notes:alice"]);
    let kept: serde_json::Value = serde_json::from_str(&daemon.ok(&["--json", "retention"])).unwrap();
    assert_eq!(kept["services"][0]["log_retention"].as_f64(), Some(172_800.0), "what was taken anew since");
    assert!(daemon.get("alice.notes.localhost", "/").starts_with("HTTP/1.1 200 "));
    daemon.ok(&["stop", "notes:alice"]);
}

#[test]
fn the_pauses_of_one_that_keeps_dying_grow() {
    let daemon = TestDaemon::start(NOTHING);
    for pause in ["now", "in 0.1 s", "in 0.2 s", "in 0.4 s"] {
        replace(&daemon);
        let log = log(&daemon);
        let last = log.lines().rfind(|line| line.starts_with("ten: the daemon is gone")).unwrap();
        assert!(last.contains(&format!("started again {pause};")), "{last}");
    }
}

#[test]
fn what_a_daemon_leaves_that_is_killed_instead_of_ending_is_ended() {
    let mut daemon = TestDaemon::start(&notes("[instances]\nnotes = ['alice']"));
    until("running", || daemon.status("notes:alice") == "running");
    // So that it can't do what it is told to before it is killed.
    stop(&daemon);
    daemon.signal(Signal::TERM);
    until("passed on", || {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.daemon_pid())).unwrap();
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:\t")).unwrap();
        u64::from_str_radix(pending, 16).unwrap() & (1 << (Signal::TERM.as_raw() - 1)) != 0
    });
    daemon.kill_daemon();
    assert_eq!(daemon.wait(), Some(0), "{}", log(&daemon));
    assert_eq!(log(&daemon).matches("ten: the daemon is gone").count(), 1);
    assert_eq!(daemon.processes(), [0; 0]);
}

#[test]
fn without_its_keeper_a_daemon_serves_on_and_ends_as_it_is_told() {
    let mut daemon = TestDaemon::start(NOTHING);
    let pid = daemon.daemon_pid();
    daemon.kill_keeper();
    until("noticed", || log(&daemon).contains("the keeper is gone"));
    assert!(daemon.get("localhost", "/health").starts_with("HTTP/1.1 200 "));
    end_of(pid, Signal::TERM);
    assert!(log(&daemon).contains("ending: "), "{}", log(&daemon));
    assert!(!daemon.folder.path().join("data/admin.sock").exists());
}

// faults: D8
#[test]
fn another_takes_over_from_a_daemon_without_its_keeper_and_its_instances_go_on() {
    let daemon = TestDaemon::start(&notes("[instances]\nnotes = ['alice']"));
    until("running", || daemon.status("notes:alice") == "running");
    let (running, before, port) = (daemon.processes(), daemon.daemon_pid(), daemon.port.to_string());
    let daemon = TestDaemon::start_in(daemon.orphan(), &["--port", &port]);
    assert_ne!(daemon.daemon_pid(), before);
    let log = log(&daemon);
    assert!(log.contains("the keeper is gone") && log.contains("leaving to another daemon"), "{log}");
    assert_eq!(daemon.processes(), running);
    daemon.kill_left();
    daemon.ok(&["stop", "notes:alice"]);
}

#[test]
fn a_daemon_with_a_keeper_does_not_leave() {
    let daemon = TestDaemon::start(NOTHING);
    let pid = Pid::from_raw(daemon.daemon_pid().cast_signed()).unwrap();
    kill_process(pid, Signal::USR2).unwrap();
    until("said", || log(&daemon).contains("SIGUSR2 means nothing here"));
    let refused = run(daemon.folder.path(), &["serve", "--port", "0", "--data-dir", "data"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert!(daemon.get("localhost", "/health").starts_with("HTTP/1.1 200 "));
}

// faults: D4 D9
#[test]
fn a_data_directory_that_is_gone_is_not_begun_anew_and_is_used_again_when_it_is_back() {
    let daemon = TestDaemon::start(&notes("health = '/health'"));
    daemon.ok(&["spawn", "notes:alice"]);
    let instances = daemon.processes();
    let [data, away] = ["data", "away"].map(|name| daemon.folder.path().join(name));
    let token = fs::read(data.join("api_token")).unwrap();
    for empty in [false, true] {
        let (before, said) =
            (daemon.daemon_pid(), log(&daemon).matches("is gone, and its instances").count());
        fs::rename(&data, &away).unwrap();
        if empty {
            // As where something was mounted.
            fs::create_dir(&data).unwrap();
        }
        kill_process(Pid::from_raw(before.cast_signed()).unwrap(), Signal::KILL).unwrap();
        until("said, and tried again", || {
            log(&daemon).matches("is gone, and its instances").count() >= said + 2
        });
        match empty {
            true => fs::remove_dir(&data).expect("nothing was made in it"),
            false => assert!(!data.exists(), "it was made anew"),
        }
        fs::rename(&away, &data).unwrap();
        until("started again", || daemon.daemon_pid() != before);
        assert!(daemon.get("alice.notes.localhost", "/health").starts_with("HTTP/1.1 200 "));
    }
    assert_eq!((daemon.processes(), fs::read(data.join("api_token")).unwrap()), (instances, token));
    assert!(log(&daemon).contains("put it back (mount it), or start 'ten serve' anew"), "{}", log(&daemon));
}
