//! Commands, streams and records over an upgrade.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixDatagram,
    process::Stdio,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Socket, ask, configured, daemon, file, head, host, life, log, naps, upgrade, view};
use crate::support::{TestDaemon, text, until};

/// Standard output of a command that goes on, line by line as it comes.
struct Following {
    child: std::process::Child,
    lines: std::sync::Arc<Mutex<Vec<String>>>,
}

impl Following {
    fn start(daemon: &TestDaemon, arguments: &[&str]) -> Self {
        let all = [&["--data-dir", "data"], arguments].concat();
        let mut command = crate::support::ten(daemon.folder.path(), &all);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (lines, out) = (std::sync::Arc::<Mutex<Vec<String>>>::default(), child.stdout.take().unwrap());
        let into = std::sync::Arc::clone(&lines);
        thread::spawn(move || {
            BufReader::new(out).lines().for_each(|line| into.lock().unwrap().push(line.unwrap()))
        });
        Self { child, lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn end(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines()
    }
}

// faults: D10 G9
#[test]
fn lines_and_events_go_on_over_upgrades_each_once() {
    let folder = configured("env = { CHATTER = \"1\" }");
    let out = folder.path().join("out.log");
    let sink = format!(
        "[[service.app.log_sink]]\ntype = \"file\"\nformat = \"json\"\npath = '{}'\n[service.naps]",
        out.display()
    );
    let path = folder.path().join("tenement.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(path, config.replace("[service.naps]", &sink)).unwrap();
    let daemon = TestDaemon::start_in(folder, &[]);
    daemon.ok(&["spawn", "app:a"]);
    let logs = Following::start(&daemon, &["logs", "app:a", "-f", "--json"]);
    let events = Following::start(&daemon, &["events", "-f", "--json"]);
    until("followed", || logs.lines().len() > 10);
    until("followed", || {
        daemon.ten(&["stop", "app:mark"]);
        daemon.ok(&["spawn", "app:mark", "--no-wait"]);
        events.lines().iter().any(|line| line.contains("app:mark"))
    });
    for round in 0..3 {
        let before = logs.lines().len();
        upgrade(&daemon, &[]);
        daemon.ok(&["spawn", &format!("app:e{round}")]);
        daemon.ok(&["stop", &format!("app:e{round}")]);
        until("more lines", || logs.lines().len() > before + 200);
        until("its events", || {
            events
                .lines()
                .iter()
                .any(|line| line.contains(&format!("app:e{round}")) && line.contains("running"))
        });
    }
    fs::write(file(&daemon, "a", "quiet"), "").unwrap();
    // It is there before it has something in it.
    let printed = || fs::read_to_string(file(&daemon, "a", "printed")).ok()?.trim().parse::<usize>().ok();
    until("quiet", || printed().is_some());
    let printed = printed().unwrap();
    let wanted: Vec<_> = (0..printed).map(|number| format!("line {number}")).collect();
    let message = |line: &String| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["message"].as_str().map(ToOwned::to_owned)
    };
    let kept: Vec<_> = daemon
        .ok(&["logs", "app:a", "--all", "--json"])
        .lines()
        .map(|line| message(&line.to_owned()).unwrap())
        .collect();
    assert_eq!(kept, wanted);
    until("all lines", || logs.lines().last().and_then(message).as_ref() == wanted.last());
    let followed: Vec<_> = logs.end().iter().filter_map(message).collect();
    let first = wanted.iter().position(|line| *line == followed[0]).unwrap();
    assert_eq!(followed, wanted[first..], "each once");
    // A sink may say a line twice, but leaves none out.
    let last = format!("{}\"", wanted.last().unwrap());
    until("delivered", || fs::read_to_string(&out).is_ok_and(|out| out.contains(&last)));
    let delivered = fs::read_to_string(&out).unwrap();
    let told: BTreeSet<_> = delivered.lines().filter_map(|line| message(&line.to_owned())).collect();
    let missing = wanted.iter().find(|line| !told.contains(*line));
    assert_eq!(missing, None, "{}", delivered.lines().next().unwrap());
    let ids: Vec<_> = events
        .end()
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64())
        .collect();
    let once: BTreeSet<_> = ids.iter().copied().collect();
    assert!(ids.is_sorted() && once.len() == ids.len(), "{ids:?}");
}

// faults: D10
#[test]
fn commands_are_carried_out_by_one_of_the_two() {
    let daemon = daemon("");
    let done = AtomicBool::new(false);
    let command = |arguments: &[&str]| {
        let output = daemon.ten(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let (spawned, tokens) = thread::scope(|scope| {
        let spawning = |prefix: &'static str, wait: &'static [&'static str]| {
            let (done, command) = (&done, &command);
            scope.spawn(move || {
                let mut all = Vec::new();
                while !done.load(Ordering::Relaxed) && all.len() < 12 {
                    let name = format!("app:{prefix}{}", all.len());
                    command(&[&["spawn", name.as_str()], wait].concat());
                    all.push(name);
                }
                all
            })
        };
        let waited = spawning("w", &[]);
        let at_once = spawning("n", &["--no-wait"]);
        let coming_and_going = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                command(&["spawn", "app:gone", "--no-wait"]);
                command(&["stop", "app:gone"]);
                command(&["reload"]);
            }
        });
        let tokens = scope.spawn(|| {
            let mut all = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let name = format!("token-{}", all.len());
                command(&["token-gen", "--name", &name]);
                all.push(name);
            }
            all
        });
        for _ in 0..4 {
            upgrade(&daemon, &[]);
        }
        done.store(true, Ordering::Relaxed);
        coming_and_going.join().unwrap();
        let spawned = [waited.join().unwrap(), at_once.join().unwrap()].concat();
        (spawned, tokens.join().unwrap())
    });
    for name in &spawned {
        until("running", || daemon.status(name) == "running");
        let (_, id) = name.split_once(':').unwrap();
        assert_eq!(life(&daemon, id).1, 0, "{name}");
    }
    assert_eq!(daemon.status("app:gone"), "");
    assert_eq!(daemon.processes().len(), spawned.len());
    let listed: Value = serde_json::from_str(&daemon.ok(&["--json", "tokens"])).unwrap();
    let listed = listed.to_string();
    for token in &tokens {
        assert_eq!(listed.matches(&format!("\"{token}\"")).count(), 1, "{token} in {listed}");
    }
    assert!(!tokens.is_empty() && spawned.len() > 2);
}

/// A refusal says when to come again, and that nothing was done.
#[test]
fn what_comes_in_between_is_refused_and_not_done() {
    let folder = configured("startup_timeout = 60");
    let daemon = TestDaemon::start_in(folder, &[]);
    daemon.ok(&["spawn", "app:a"]);
    // Somebody waits for a start, and the daemon for its end.
    let slow = file(&daemon, "slow", "slow");
    fs::create_dir_all(slow.parent().unwrap()).unwrap();
    fs::write(&slow, "").unwrap();
    thread::scope(|scope| {
        let spawning = scope.spawn(|| daemon.ok(&["spawn", "app:slow"]));
        until("starting", || file(&daemon, "slow", "starting").exists());
        let upgrading = scope.spawn(|| upgrade(&daemon, &[]));
        until("letting go", || log(&daemon).contains("leaving everything to it"));
        let answer =
            daemon.ask_local_as("POST", "/api/instances?wait=false", r#"{"service":"app","id":"late"}"#);
        assert!(answer.contains("\"upgrading\""), "{answer}");
        assert!(!daemon.ok(&["--json", "ps"]).contains("app:late"));
        ask(&mut daemon.connect(), &host("a"), "/meanwhile");
        let waits = scope.spawn(|| daemon.ok(&["spawn", "app:later"]));
        fs::remove_file(&slow).unwrap();
        spawning.join().unwrap();
        waits.join().unwrap();
        upgrading.join().unwrap();
    });
    assert_eq!(daemon.status("app:slow"), "running");
    assert_eq!(daemon.status("app:later"), "running");
    assert_eq!(daemon.status("app:late"), "");
}

// faults: D10 C10
#[test]
fn a_changed_file_is_taken_as_by_a_reload() {
    let folder = configured("[service.app.env]\nWORD = 'one'\n[service.gone]\ncommand = 'python3 app.py'");
    let path = folder.path().join("tenement.toml");
    let before = fs::read_to_string(&path)
        .unwrap()
        .replace("'python3 app.py'", &format!("'python3 {}'", folder.path().join("app.py").display()));
    fs::write(&path, &before).unwrap();
    let daemon = TestDaemon::start_in(folder, &[]);
    daemon.ok(&["spawn", "app:a"]);
    daemon.ok(&["spawn", "gone:g"]);
    let (pid, restarts) = life(&daemon, "a");
    let mut download = daemon.connect();
    write!(download, "GET /download HTTP/1.1\r\nHost: g.gone.localhost\r\n\r\n").unwrap();
    head(&mut download);
    let (kept, _) = before.split_once("[service.gone]").unwrap();
    let (_, rest) = before.split_once("[service.naps]").unwrap();
    fs::write(&path, format!("{kept}[service.naps]{rest}").replace("'one'", "'two'")).unwrap();
    let said = daemon.ok(&["upgrade"]);
    assert!(said.contains("app:a is being restarted") && said.contains("[service.gone] is gone"), "{said}");
    until("restarted", || view(&daemon, "a")["restart_count"] == restarts + 1);
    until("running", || daemon.status("app:a") == "running");
    assert_ne!(life(&daemon, "a").0, pid);
    // Its request is at the former process, and has its time.
    fs::write(daemon.folder.path().join("data/gone/g/go"), "").unwrap();
    let mut body = vec![0; 600_000];
    download.read_exact(&mut body).unwrap();
    until("ended", || daemon.status("gone:g").is_empty());
    // What is in effect now outlives a kill.
    daemon.kill_daemon();
    assert!(daemon.ask_local("/api/config").contains("two"));
}

// faults: D10 W7
#[test]
fn what_the_former_process_still_uses_does_not_fall_asleep() {
    let daemon = daemon("idle_timeout = 1");
    daemon.ok(&["spawn", "app:b"]);
    daemon.ok(&["spawn", "app:a"]);
    // Wakes it, should the one before have taken its time.
    let mut socket = Socket::open(&daemon, "a");
    let before = life(&daemon, "a");
    upgrade(&daemon, &[]);
    upgrade(&daemon, &[]);
    naps(&daemon, "b");
    assert_eq!(life(&daemon, "a"), before);
    socket.echo("awake");
    socket.close();
    until("asleep", || daemon.status("app:a") == "sleeping");
}

// faults: D10 I1
#[test]
fn how_an_instance_of_the_former_process_ends_is_known() {
    let daemon = daemon("restart = \"on-failure\"");
    daemon.ok(&["spawn", "app:a"]);
    let (pid, first) = (life(&daemon, "a").0, daemon.daemon_pid());
    let mut socket = Socket::open(&daemon, "a");
    upgrade(&daemon, &[]);
    socket.echo("the former process is still there");
    // Its parent is the former process, as long as that lives.
    let parent = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let parent = parent.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().to_owned();
    assert_eq!(parent, first.to_string());
    let mut dying = daemon.connect();
    dying
        .write_all(
            format!("POST /die/7 HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", host("a")).as_bytes(),
        )
        .unwrap();
    until("started again", || {
        view(&daemon, "a")["restart_count"] == 1 && daemon.status("app:a") == "running"
    });
    assert_ne!(life(&daemon, "a").0, pid);
    let events = daemon.ok(&["events", "--json"]);
    let ends: Vec<_> = events.lines().filter(|line| line.contains("\"cause\":\"exit\"")).collect();
    assert!(ends.len() == 1 && ends[0].contains("\"exit_code\":7,"), "{ends:?}");
}

// faults: D2 D10
#[test]
fn history_tokens_and_audit_go_on_and_a_hangup_upgrades_too() {
    let daemon = daemon("");
    daemon.ok(&["spawn", "app:a"]);
    let before = life(&daemon, "a");
    for round in 0..2 {
        let pid = daemon.daemon_pid();
        daemon.signal(Signal::HUP);
        until("upgraded", || {
            daemon.daemon_pid() != pid && log(&daemon).matches("connections go over").count() == round + 1
        });
        daemon.ok(&["spawn", &format!("app:h{round}")]);
    }
    assert_eq!(life(&daemon, "a"), before);
    let events = daemon.ok(&["events", "--json"]);
    let audit = daemon.ask_local("/api/audit");
    for round in 0..2 {
        let name = format!("app:h{round}");
        assert!(events.contains(&name), "{events}");
        assert!(audit.contains(&name) || audit.contains(&format!("h{round}")), "{audit}");
    }
    // SIGHUP to the daemon itself is no way to do it.
    let pid = Pid::from_raw(daemon.daemon_pid().cast_signed()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    until("said", || log(&daemon).contains("SIGHUP means nothing here"));
}

#[test]
fn the_service_manager_is_told_of_an_upgrade() {
    let folder = configured("");
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    let mut daemon = TestDaemon::start_as(folder, &[], |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let told = || {
        let mut buffer = [0; 256];
        let read = manager.recv(&mut buffer).unwrap();
        text(&buffer[..read])
    };
    assert_eq!(told(), "READY=1\n");
    upgrade(&daemon, &[]);
    let reloading = told();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(told(), "READY=1\n");
    assert_eq!(daemon.ten(&["upgrade", "/bin/true"]).status.code(), Some(1));
    assert!(told().starts_with("RELOADING=1\n"));
    assert_eq!(told(), "READY=1\n");
    daemon.signal(Signal::TERM);
    assert_eq!(told(), "STOPPING=1\n");
    assert_eq!(daemon.wait(), Some(0));
}
