//! A daemon that is killed leaves its instances running, and the next one takes them on.

mod lost;

use std::{
    fs,
    io::{Read, Write},
    path::Path,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{TestDaemon, until};

/// Answers with its pid, on its socket, its port or the socket that it was given; `slow` in its folder keeps it from
/// accepting.
const APP: &str = r#"
import os, socket, sys, time
where, data = sys.argv[1], os.environ["DATA_DIR"]
while os.path.exists(data + "/slow"): time.sleep(0.01)
if where == "given": listening = socket.socket(fileno=3)
elif where == "port":
    listening = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
else:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(os.environ["SOCKET_PATH"])
listening.listen(64)
print("ready", flush=True)
while True:
    connection, _ = listening.accept()
    asked = connection.recv(65536)
    if b"/die" in asked: os._exit(7)
    body = b"%d %s" % (os.getpid(), os.environ["PORT"].encode())
    try: connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    except OSError: pass
    connection.close()
"#;

fn daemon(folder: tempfile::TempDir) -> TestDaemon {
    TestDaemon::start_in(folder, &[])
}

fn configured(more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.py"), APP).unwrap();
    let app = folder.path().join("app.py");
    let service = |name: &str, more: &str| {
        format!("[service.{name}]\ncommand = \"python3 {} {name}\"\n{more}\n", app.display())
    };
    let config = format!(
        "[settings]\nbackoff_base_ms = 50\nhealth_check_interval = 1\n{}{}{}",
        service("own", more),
        service("port", more),
        service("given", &format!("activation = \"listen_fds\"\n{more}")),
    );
    fs::write(folder.path().join("tenement.toml"), config).unwrap();
    folder
}

const ALL: [&str; 3] = ["own:a", "port:a", "given:a"];

fn host(instance: &str) -> String {
    let (service, id) = instance.split_once(':').unwrap();
    format!("{id}.{service}.localhost")
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

fn view(daemon: &TestDaemon, instance: &str) -> Value {
    let list: Value = serde_json::from_str(&daemon.ok(&["--json", "ps"])).unwrap();
    let all = list["instances"].as_array().unwrap();
    all.iter().find(|one| one["instance"] == instance).cloned().unwrap_or_default()
}

fn signal(pid: u64, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

// faults: D1 D9
#[test]
fn every_running_instance_is_taken_on_as_it_is() {
    let mut daemon = daemon(configured("health = \"/\"\nidle_timeout = 600\n"));
    ALL.iter().for_each(|instance| drop(daemon.ok(&["spawn", instance])));
    daemon.ok(&["restart", "own:a"]);
    until("restarted", || daemon.status("own:a") == "running");
    let before = ALL.map(|instance| (view(&daemon, instance), daemon.get(&host(instance), "/")));
    for _ in 0..3 {
        daemon = self::daemon(daemon.kill_alone());
        for (instance, (view_before, answer)) in ALL.iter().zip(&before) {
            let now = view(&daemon, instance);
            for same in ["pid", "restart_count", "status", "socket", "port"] {
                assert_eq!(now[same], view_before[same], "{instance} {same}");
            }
            assert!(now["uptime_ms"].as_u64() >= view_before["uptime_ms"].as_u64(), "{now}");
            assert_eq!(body(&daemon.get(&host(instance), "/")), body(answer));
        }
    }
    // It is an instance like any other.
    until("checked", || ALL.iter().all(|instance| view(&daemon, instance)["health"] == "healthy"));
    daemon.ok(&["restart", "port:a"]);
    until("restarted", || daemon.status("port:a") == "running");
    assert_ne!(view(&daemon, "port:a")["pid"], before[1].0["pid"]);
    daemon.ok(&["stop", "given:a"]);
    assert_eq!(daemon.processes().len(), 2);
}

#[test]
fn what_ended_meanwhile_is_handled_as_any_end() {
    let first = daemon(configured("restart = \"always\"\n"));
    first.ok(&["spawn", "own:a"]);
    let pid = view(&first, "own:a")["pid"].as_u64().unwrap();
    let folder = first.kill_alone();
    signal(pid, Signal::KILL);
    until("gone", || !Path::new(&format!("/proc/{pid}/exe")).exists());
    let second = daemon(folder);
    until("started again", || {
        let now = view(&second, "own:a");
        now["status"] == "running" && now["restart_count"] == 1
    });
    assert_ne!(view(&second, "own:a")["pid"].as_u64(), Some(pid));
    assert!(second.ok(&["logs", "own:a"]).contains("ready"));
}

// faults: D1
#[test]
fn one_that_was_being_started_is_waited_for() {
    for instance in ALL {
        let folder = configured("startup_timeout = 60\n");
        let (service, id) = instance.split_once(':').unwrap();
        let data = folder.path().join("data").join(service).join(id);
        let first = daemon(folder);
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("slow"), "").unwrap();
        first.ok(&["spawn", instance, "--no-wait"]);
        until("a process", || view(&first, instance)["pid"].is_u64());
        let pid = view(&first, instance)["pid"].clone();
        let second = daemon(first.kill_alone());
        assert_eq!(view(&second, instance)["pid"], pid);
        fs::remove_file(data.join("slow")).unwrap();
        until("running", || second.status(instance) == "running");
        assert!(body(&second.get(&host(instance), "/")).starts_with(&pid.to_string()));
    }
}

#[test]
fn who_was_asleep_stopped_or_failed_still_is() {
    let first = daemon(configured("restart = \"never\"\nstartup_timeout = 60\n"));
    ALL.iter().for_each(|instance| drop(first.ok(&["spawn", instance])));
    first.ok(&["stop", "own:a", "--keep"]);
    let mut dying = first.connect();
    write!(dying, "GET /die HTTP/1.1\r\nHost: a.port.localhost\r\nConnection: close\r\n\r\n").unwrap();
    let _ = dying.read_to_end(&mut Vec::new());
    until("failed", || first.status("port:a") == "failed");
    let reason = view(&first, "port:a")["reason"].clone();
    let second = daemon(first.kill_alone());
    assert_eq!([second.status("own:a"), second.status("port:a")], ["stopped", "failed"]);
    assert_eq!(view(&second, "port:a")["reason"], reason);
    assert_eq!(second.status("given:a"), "running");
}

/// An app that does not end when it is told to.
const STAYS: &str = r#"
import os, signal, socket
signal.signal(signal.SIGTERM, signal.SIG_IGN)
listening = socket.socket(socket.AF_UNIX)
listening.bind(os.environ["SOCKET_PATH"])
listening.listen(64)
while True:
    connection, _ = listening.accept()
    if connection.recv(65536): connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    connection.close()
"#;

fn stays(more: &str) -> String {
    format!(
        "[settings]\nstop_timeout = 20\nbackoff_base_ms = 50\n[service.stays]\ncommand = \"python3 stays.py\"\n{more}\n"
    )
}

// faults: D1 D2
#[test]
fn what_was_ending_with_a_daemon_that_was_killed_then_is_up_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("stays.py"), STAYS).unwrap();
    fs::write(folder.path().join("tenement.toml"), stays("")).unwrap();
    let first = daemon(folder);
    first.ok(&["spawn", "stays:a"]);
    first.signal(Signal::TERM);
    until("ending", || view(&first, "stays:a")["status"] == "stopping");
    let second = daemon(first.kill_alone());
    // It does not end by itself.
    second.kill_left();
    until("up", || second.status("stays:a") == "running");
    assert!(second.get("a.stays.localhost", "/").starts_with("HTTP/1.1 200 "));
    second.kill_left();
    second.ok(&["stop", "stays:a"]);
}

// faults: C10 D1
#[test]
fn one_whose_service_went_and_came_back_can_be_woken_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("stays.py"), STAYS).unwrap();
    let path = folder.path().join("tenement.toml");
    let config = stays("autostart = false\nidle_timeout = 600\n[instances]\nstays = ['a']");
    fs::write(&path, &config).unwrap();
    let first = daemon(folder);
    assert!(first.get("a.stays.localhost", "/").starts_with("HTTP/1.1 200 "));
    fs::write(&path, "[settings]\nstop_timeout = 20\nbackoff_base_ms = 50\n").unwrap();
    first.ok(&["reload"]);
    first.kill_left();
    until("let go", || first.status("stays:a").is_empty());
    fs::write(&path, config).unwrap();
    first.ok(&["reload"]);
    let second = daemon(first.kill_alone());
    assert!(second.get("a.stays.localhost", "/").starts_with("HTTP/1.1 200 "));
    second.kill_left();
}

// faults: I11
#[test]
fn a_stranger_with_its_number_is_not_touched() {
    let first = daemon(configured(""));
    first.ok(&["spawn", "own:a"]);
    let pid = view(&first, "own:a")["pid"].as_u64().unwrap();
    let folder = first.kill_alone();
    // As if the number had gone to another process since: the record says an earlier start.
    let database = rusqlite::Connection::open(folder.path().join("data/runs.db")).unwrap();
    let text: String = database.query_row("SELECT run FROM runs", (), |row| row.get(0)).unwrap();
    let mut run: Value = serde_json::from_str(&text).unwrap();
    let mut stranger = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    run["handle"]["pid"] = stranger.id().into();
    database.execute("UPDATE runs SET run = ?1", [run.to_string()]).unwrap();
    drop(database);
    let second = daemon(folder);
    until("settled", || second.status("own:a") == "running");
    let now = view(&second, "own:a")["pid"].as_u64().unwrap();
    assert!(now != u64::from(stranger.id()) && now != pid);
    assert!(stranger.try_wait().unwrap().is_none(), "it was touched");
    assert_eq!(second.processes().len(), 1);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

// faults: C10
#[test]
fn another_configuration_is_put_in_force_for_what_was_taken_on() {
    let first = daemon(configured(""));
    ALL.iter().for_each(|instance| drop(first.ok(&["spawn", instance])));
    let before = ALL.map(|instance| view(&first, instance)["pid"].as_u64().unwrap());
    let folder = first.kill_alone();
    let path = folder.path().join("tenement.toml");
    let config = fs::read_to_string(&path).unwrap();
    let (kept, _) = config.split_once("[service.given]").unwrap();
    let changed = kept.replace("[service.port]", "[service.port]\nenv = { NEW = \"1\" }");
    fs::write(&path, changed).unwrap();
    let second = daemon(folder);
    assert_eq!(view(&second, "own:a")["pid"], before[0]);
    until("restarted", || {
        let now = view(&second, "port:a");
        now["status"] == "running" && now["pid"] != before[1]
    });
    until("ended", || !Path::new(&format!("/proc/{}/exe", before[2])).exists());
    assert_eq!(second.processes().len(), 2);
}
