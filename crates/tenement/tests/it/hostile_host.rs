//! The daemon and its keeper under what a host does to them.

pub(crate) mod outside;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;

use crate::support::{Free, TestDaemon, run, ten, text, until};

/// Answers with its pid, on its socket.
const APP: &str = r#"
import os, socket
listening = socket.socket(socket.AF_UNIX)
listening.bind(os.environ["SOCKET_PATH"])
listening.listen(64)
print("ready", flush=True)
while True:
    connection, _ = listening.accept()
    connection.recv(65536)
    body = b"%d" % os.getpid()
    try: connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    except OSError: pass
    connection.close()
"#;

/// A folder whose configuration has a service `app` with an instance `a` that is up; `more` is the service's.
fn folder(settings: &str, more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app.py");
    fs::write(&app, APP).unwrap();
    let config = format!(
        "[settings]\nbackoff_base_ms = 50\n{settings}\n[service.app]\ncommand = \"python3 '{}'\"\n{more}\n\
         [instances]\napp = ['a']\n",
        app.display()
    );
    fs::write(folder.path().join("tenement.toml"), config).unwrap();
    folder
}

const HOST: &str = "a.app.localhost";
const ASK: &str = "GET / HTTP/1.1\r\nHost: a.app.localhost\r\nConnection: close\r\n\r\n";

/// The pid of the instance that answers.
fn answering(daemon: &TestDaemon) -> u32 {
    let answer = daemon.get(HOST, "/");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.parse().unwrap()
}

fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn log(daemon: &TestDaemon) -> String {
    fs::read_to_string(daemon.folder.path().join("daemon.log")).unwrap()
}

fn view(daemon: &TestDaemon) -> Value {
    let list: Value = serde_json::from_str(&daemon.ok(&["--json", "ps"])).unwrap();
    list["instances"].as_array().unwrap().iter().find(|one| one["instance"] == "app:a").cloned().unwrap()
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.cast_signed()).unwrap()
}

fn signal(to: u32, signal: Signal) {
    kill_process(pid(to), signal).unwrap();
}

/// Sets the soft limit of another process's descriptors; what it was before.
fn limit(of: u32, current: u64) -> u64 {
    let limits = fs::read_to_string(format!("/proc/{of}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut fields = line.split_ascii_whitespace().map(|field| field.parse().ok());
    let (before, maximum) = (fields.next().unwrap(), fields.next().unwrap());
    prlimit(Some(pid(of)), Resource::Nofile, Rlimit { current: Some(current), maximum }).unwrap();
    before.unwrap_or(u64::MAX)
}

/// The first daemon's successor.
fn replaced(daemon: &TestDaemon) {
    let before = daemon.daemon_pid();
    daemon.kill_daemon();
    until("started again", || daemon.daemon_pid() != before);
    assert!(daemon.get("localhost", "/health").starts_with("HTTP/1.1 200 "));
}

// faults: D2
#[test]
fn signals_without_a_meaning_end_neither_keeper_nor_daemon() {
    let daemon = TestDaemon::start_in(folder("", ""), &[]);
    let (instance, keeper, server) = (answering(&daemon), daemon.pid(), daemon.daemon_pid());
    let meaningless = [
        Signal::PIPE,
        Signal::USR1,
        Signal::ALARM,
        Signal::WINCH,
        Signal::IO,
        Signal::PROF,
        Signal::VTALARM,
        Signal::XFSZ,
        Signal::POWER,
        Signal::TTIN,
        Signal::TTOU,
        Signal::CONT,
    ];
    for to in [keeper, server] {
        for sent in meaningless {
            signal(to, sent);
            assert_eq!(answering(&daemon), instance, "after {sent:?}");
        }
    }
    assert_eq!(daemon.daemon_pid(), server);
    assert!(!log(&daemon).contains("the daemon is gone"), "{}", log(&daemon));
}

// faults: D2
#[test]
fn a_daemon_that_is_told_to_end_ends_its_keeper_too() {
    for sent in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let mut daemon = TestDaemon::start_in(folder("", ""), &[]);
        answering(&daemon);
        signal(daemon.daemon_pid(), sent);
        assert_eq!(daemon.wait(), Some(0), "after {sent:?}: {}", log(&daemon));
        assert_eq!(daemon.processes(), [0; 0]);
    }
}

/// `strace` on all threads of a process, until it is dropped.
struct Trace {
    child: Child,
    out: std::path::PathBuf,
}

impl Trace {
    fn of(process: u32, out: &Path, arguments: &[&str]) -> Self {
        let child = Command::new("strace")
            .args(["-f", "-ttt", "-o", out.to_str().unwrap(), "-p", &process.to_string()])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut trace = Self { child, out: out.to_owned() };
        let mut said = BufReader::new(trace.child.stderr.take().unwrap()).lines();
        let first = said.next().unwrap().unwrap();
        assert!(first.contains("attached"), "{first}");
        std::thread::spawn(move || said.for_each(drop));
        trace
    }

    fn lines(&self, what: &str) -> Vec<String> {
        let text = fs::read_to_string(&self.out).unwrap();
        text.lines().filter(|line| line.contains(what)).map(str::to_owned).collect()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // It lets the process go on by itself.
        signal(self.child.id(), Signal::INT);
        let _ = self.child.wait();
    }
}

// faults: D6
#[test]
fn without_descriptors_the_daemon_waits_judges_nobody_and_goes_on_when_there_are_some() {
    let config = folder("health_check_interval = 0.1", "health = '/'");
    let daemon = TestDaemon::start_in(config, &[]);
    let (instance, server) = (answering(&daemon), daemon.daemon_pid());
    until("healthy", || view(&daemon)["health"] == "healthy");
    let trace = Trace::of(server, &daemon.folder.path().join("trace"), &["-e", "trace=accept4,socket"]);
    let before = limit(server, 0);
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = daemon.connect();
            stream.write_all(ASK.as_bytes()).unwrap();
            stream
        })
        .collect();
    let refused = |call: &str| {
        let lines = trace.lines("EMFILE").into_iter();
        lines.filter(|line| line.contains(call)).collect::<Vec<_>>()
    };
    // Three in a row would be enough to restart it, if they counted.
    until("checks were due", || refused("socket(").len() > 6);
    until("tried again and again", || refused("accept4(").len() > 12);
    assert_eq!(limit(server, before), 0);
    let accepts = refused("accept4(");
    for stream in waiting {
        let answer = answer(stream);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&instance.to_string()), "{answer}");
    }
    drop(trace);
    // Each thread pauses between two attempts.
    let mut last = std::collections::BTreeMap::<&str, f64>::new();
    for line in &accepts {
        let mut fields = line.split_ascii_whitespace();
        let (thread, at) = (fields.next().unwrap(), fields.next().unwrap().parse::<f64>().unwrap());
        if let Some(before) = last.insert(thread, at) {
            assert!(at - before > 0.09, "it spins: {line}");
        }
    }
    let now = view(&daemon);
    assert_eq!((&now["restart_count"], now["pid"].as_u64()), (&0.into(), Some(instance.into())), "{now}");
    let log = log(&daemon);
    for once in ["no connection can be accepted now", "health checks can't be done now"] {
        assert_eq!(log.matches(once).count(), 1, "{once}: {log}");
    }
    assert_eq!(daemon.metric("tenement_panics_total"), 0);
    daemon.ok(&["spawn", "app:b"]);
}

// faults: D6
#[test]
fn a_limit_that_is_too_low_to_serve_is_named_with_the_remedy() {
    let folder = folder("", "");
    for limit in [30, 60, 120] {
        let refused = Command::new("prlimit")
            .args([&format!("--nofile={limit}:{limit}"), env!("CARGO_BIN_EXE_ten")])
            .args(["serve", "--host", "127.0.0.1", "--port", "0", "--data-dir", "data"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let line = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{line}");
        assert!(
            line.contains("ulimit -n") && line.contains(&format!("limit of {limit} open files")),
            "{line}"
        );
    }
    assert!(!folder.path().join("data").exists());
}

// faults: D6
#[test]
fn a_keeper_without_descriptors_says_so_once_and_still_starts_the_next_daemon() {
    let daemon = TestDaemon::start_in(folder("", ""), &[]);
    let instance = answering(&daemon);
    let before = limit(daemon.pid(), 32);
    let held = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count() as u64;
    limit(daemon.pid(), held + 16);
    for id in ["b", "c", "d", "e"] {
        daemon.ok(&["spawn", &format!("app:{id}")]);
    }
    let said = |daemon: &TestDaemon| log(daemon).matches("no descriptor is left to hold 'pipes:").count();
    until("said", || said(&daemon) == 1);
    let others = daemon.processes().len();
    replaced(&daemon);
    assert_eq!(answering(&daemon), instance, "it is taken on");
    assert_eq!(daemon.processes().len(), others);
    assert_eq!(said(&daemon), 1);
    limit(daemon.pid(), before);
    daemon.ok(&["restart", "app:a", "--wait"]);
    assert_ne!(answering(&daemon), instance);
}

// faults: D6
#[test]
fn a_host_without_memory_for_processes_is_named_and_the_next_start_works() {
    let daemon = TestDaemon::start_in(folder("", ""), &[]);
    let instance = answering(&daemon);
    for (errno, what) in [("ENOMEM", "memory"), ("EAGAIN", "processes")] {
        let inject = format!("inject=clone,clone3:error={errno}");
        let trace = Trace::of(daemon.daemon_pid(), &daemon.folder.path().join("trace"), &["-e", &inject]);
        let failed = daemon.ten(&["spawn", "app:b"]);
        drop(trace);
        let line = text(&failed.stderr);
        assert!(!failed.status.success() && line.contains(what), "{errno}: {line}");
        assert_eq!(answering(&daemon), instance);
        daemon.ok(&["spawn", "app:b"]);
        daemon.ok(&["stop", "app:b"]);
    }
    assert_eq!(daemon.metric("tenement_panics_total"), 0);
}

/// Stops the daemon, all of its threads.
fn stop(process: u32) {
    signal(process, Signal::STOP);
    until("stopped", || {
        let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
        let mut stats = threads.map(|thread| fs::read_to_string(thread.path().join("stat")).unwrap());
        stats.all(|stat| stat.rsplit_once(')').unwrap().1.starts_with(" T"))
    });
}

// faults: D7
#[test]
fn after_a_stop_of_the_daemon_no_instance_is_put_to_sleep_or_restarted_for_it() {
    let config = folder("health_check_interval = 0.5", "health = '/'\nidle_timeout = 6\nhealth_timeout = 2");
    let daemon = TestDaemon::start_in(config, &[]);
    let (instance, began) = (answering(&daemon), Instant::now());
    stop(daemon.daemon_pid());
    let mut waiting = daemon.connect();
    waiting.write_all(ASK.as_bytes()).unwrap();
    // Longer than it may be idle, and than several checks may take.
    std::thread::sleep(Duration::from_secs(8).saturating_sub(began.elapsed()));
    signal(daemon.daemon_pid(), Signal::CONT);
    let answer = answer(waiting);
    assert!(answer.ends_with(&instance.to_string()), "{answer}");
    assert_eq!(answering(&daemon), instance);
    let now = view(&daemon);
    assert_eq!((&now["restart_count"], now["health"].as_str()), (&0.into(), Some("healthy")), "{now}");
    assert!(log(&daemon).contains("this process was stopped for a while"), "{}", log(&daemon));
}

const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

// faults: D7
#[test]
fn a_clock_that_jumps_ends_tokens_at_their_time_and_no_instance() {
    if !Path::new(FAKETIME).exists() {
        eprintln!("skipped: {FAKETIME} is not there (Debian: faketime)");
        return;
    }
    let config = folder("health_check_interval = 0.5", "health = '/'\nidle_timeout = 3600");
    let path = config.path().join("clock");
    let set = |by: &str| fs::write(&path, by).unwrap();
    set("+0");
    let daemon = TestDaemon::start_as(config, &[], |command| {
        command
            .env("LD_PRELOAD", FAKETIME)
            .env("FAKETIME_TIMESTAMP_FILE", &path)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    });
    let instance = answering(&daemon);
    let made = daemon.ok(&["token-gen", "--expires", "30"]);
    let url = format!("http://127.0.0.1:{}", daemon.port);
    let opens = || {
        let mut command = ten(daemon.folder.path(), &["--server", &url, "ps"]);
        command.env("TENEMENT_TOKEN", made.trim()).output().unwrap().status.success()
    };
    assert!(opens());
    for (by, is_valid) in [("+400d", false), ("-1h", true), ("+400d", false), ("+0", true)] {
        set(by);
        assert_eq!(opens(), is_valid, "{by}");
        let checks = || {
            serde_json::from_str::<Value>(&daemon.ask_local("/api/instances/app/a")).unwrap()["last_health_check"].clone()
        };
        let last = checks();
        until("checked again", || checks() != last);
        daemon.ok(&["restart", "app:a", "--wait"]);
        assert_ne!(answering(&daemon), instance);
    }
    let now = view(&daemon);
    assert_eq!((&now["restart_count"], now["health"].as_str()), (&4.into(), Some("healthy")), "{now}");
    // In the order in which it was, whatever the clock said.
    assert_eq!(daemon.ok(&["logs", "app:a"]).matches("ready").count(), 5);
}

// faults: D8
#[test]
fn a_second_daemon_is_refused_while_the_first_is_between_two_attempts_too() {
    let daemon = TestDaemon::start_in(folder("", ""), &[]);
    let instance = answering(&daemon);
    // Until the pause before the next one is long. One that has served for long before it is killed begins anew.
    loop {
        let gone = || log(&daemon).matches("the daemon is gone").count();
        let (count, before) = (gone(), daemon.daemon_pid());
        daemon.kill_daemon();
        until("noticed", || gone() > count);
        if log(&daemon).contains("started again in 1.6 s") {
            break;
        }
        until("started again", || daemon.daemon_pid() != before);
        assert!(daemon.get("localhost", "/health").starts_with("HTTP/1.1 200 "));
    }
    let refused = run(daemon.folder.path(), &["serve", "--port", "0", "--data-dir", "data"]);
    let line = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{line}");
    assert!(line.contains(&format!("another tenement (pid {})", daemon.pid())), "{line}");
    assert_eq!(answering(&daemon), instance);
    let port = daemon.port.to_string();
    let refused =
        run(daemon.folder.path(), &["serve", "--host", "127.0.0.1", "--port", &port, "--data-dir", "other"]);
    let line = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{line}");
    assert!(line.contains(&format!("127.0.0.1:{port} is in use by")), "{line}");
    assert_eq!(answering(&daemon), instance);
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

// faults: D9
#[test]
fn a_copy_of_a_state_takes_nothing_on_and_ends_nothing_of_the_one_it_was_copied_from() {
    let first = TestDaemon::start_in(folder("", ""), &[]);
    let instance = answering(&first);
    for boot in [None, Some("00000000-0000-0000-0000-000000000000")] {
        let other = folder("", "");
        copy(&first.folder.path().join("data"), other.path());
        // As if it came from another host, or from before the last start of this one.
        if let Some(boot) = boot {
            let database = rusqlite::Connection::open(other.path().join("data/runs.db")).unwrap();
            assert_eq!(database.execute("UPDATE boot SET id = ?1", [boot]).unwrap(), 1);
        }
        let second = TestDaemon::start_in(other, &[]);
        assert_ne!(answering(&second), instance);
        assert_eq!(second.processes().len(), 1);
        drop(second);
        assert_eq!(answering(&first), instance);
    }
}
