//! The daemon as a user meets it.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use rustix::process::{Pid, Signal};

use crate::support::{NOTHING, TestDaemon, notes, run, text, until};

const ALICE: &str = "alice.notes.localhost";

fn ok(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200 OK\r\n")
}

#[test]
fn tenants_have_each_their_process_and_their_data() {
    let config = notes("[service.notes.env]\nOWNER = '{id}'\n[instances]\nnotes = ['alice', 'bob']");
    let daemon = TestDaemon::start(&config);
    assert!(daemon.get("localhost", "/health").ends_with(r#"{"status":"ok","version":"0.1.0"}"#));
    let added = daemon.ask("POST", ALICE, "/add", "text=only+mine");
    assert!(added.starts_with("HTTP/1.1 303 "), "{added}");
    let (alice, bob) = (daemon.get(ALICE, "/"), daemon.get("bob.notes.localhost", "/"));
    assert!(alice.contains("alice's notes") && alice.contains("only mine"), "{alice}");
    assert!(bob.contains("bob's notes") && !bob.contains("only mine"), "{bob}");
    assert_eq!(daemon.processes().len(), 2);
    for folder in ["data", "data/notes/alice"] {
        let mode = fs::metadata(daemon.folder.path().join(folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{folder}");
    }
    assert!(daemon.get("nobody.notes.localhost", "/").starts_with("HTTP/1.1 404 "));
    assert!(ok(&daemon.get("notes.localhost", "/")), "any instance of the service");
}

// faults: I16
#[test]
fn a_hundred_requests_wake_a_sleeping_instance_once() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    // It does not begin to start before all have asked.
    let gated = format!("sh -c 'while [ -e {} ]; do sleep 0.01; done; exec python3 ", gate.display());
    let config =
        notes("startup_timeout = 60\nidle_timeout = 2\nautostart = false\n[instances]\nnotes = ['alice']");
    let config = config.replace("python3 '", &gated);
    fs::write(folder.path().join("tenement.toml"), config).unwrap();
    fs::write(&gate, "").unwrap();
    let daemon = TestDaemon::start_in(folder, &[]);
    assert_eq!(daemon.status("notes:alice"), "sleeping");
    let before = daemon.metric("tenement_instances_total");
    let mut asking: Vec<_> = (0..100).map(|_| daemon.connect()).collect();
    for stream in &mut asking {
        write!(stream, "GET / HTTP/1.1\r\nHost: {ALICE}\r\nConnection: close\r\n\r\n").unwrap();
    }
    fs::remove_file(gate).unwrap();
    for stream in &mut asking {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(ok(&answer), "{answer}");
    }
    assert_eq!(daemon.metric("tenement_instances_total"), before + 1);
    let events = daemon.ok(&["events", "--json"]);
    assert!(events.contains("\"reason\":\"GET /\""), "which request it was: {events}");
    until("asleep", || daemon.status("notes:alice") == "sleeping");
    assert!(ok(&daemon.get("notes.localhost", "/")));
    let events = daemon.ok(&["events", "--json"]);
    assert_eq!(
        events.matches("\"reason\":\"GET /\"").count(),
        2,
        "also by the name of the service: {events}"
    );
}

/// Answers in one piece, so that nothing of an answer can have come when it is killed before.
const PROMPT: &str = r#"
import os, socket, threading
listener = socket.socket(socket.AF_UNIX)
listener.bind(os.environ["SOCKET_PATH"])
listener.listen(128)
def serve(client):
    with client:
        while client.recv(65536):
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#;

#[test]
fn a_killed_instance_costs_nobody_an_answer() {
    const CLIENTS: usize = 4;
    const KILLS: u64 = 3;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.py"), PROMPT).unwrap();
    let config = "[settings]\nbackoff_base_ms = 50\n[service.app]\ncommand = 'python3 app.py'\n[instances]\napp = ['one']";
    fs::write(folder.path().join("tenement.toml"), config).unwrap();
    let daemon = TestDaemon::start_in(folder, &[]);
    let answers: [AtomicU64; CLIENTS] = Default::default();
    let done = AtomicBool::new(false);
    let ask = |answered: &AtomicU64| {
        while !done.load(Ordering::Relaxed) {
            let answer = daemon.get("one.app.localhost", "/");
            assert!(ok(&answer), "{answer}");
            answered.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        answers.iter().for_each(|answered| drop(scope.spawn(|| ask(answered))));
        for killed in 0..=KILLS {
            // No request is hit twice: each client has an answer of this run before it is killed.
            let before = answers.each_ref().map(|answered| answered.load(Ordering::Relaxed));
            until("answered all", || {
                answers
                    .iter()
                    .zip(before)
                    .all(|(answered, before)| answered.load(Ordering::Relaxed) > before + 1)
            });
            if killed < KILLS {
                let pid = Pid::from_raw(daemon.processes()[0] as i32).unwrap();
                rustix::process::kill_process(pid, Signal::KILL).unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(daemon.metric("tenement_instances_total"), 1 + KILLS);
}

#[test]
fn what_was_spawned_is_there_after_a_restart_of_the_daemon() {
    let config = notes("[service.notes.env]\nOWNER = 'nobody'");
    let daemon = TestDaemon::start(&config);
    daemon.ok(&["spawn", "notes:carol", "--env", "OWNER=carol"]);
    let folder = daemon.stop();
    let daemon = TestDaemon::start_in(folder, &[]);
    assert!(daemon.get("carol.notes.localhost", "/").contains("carol's notes"));
    assert!(!daemon.said.contains("token"), "shown at the first start only: {}", daemon.said);
}

// faults: D8
#[test]
fn a_second_daemon_on_the_same_data_is_refused() {
    let daemon = TestDaemon::start(&notes(""));
    let second = run(daemon.folder.path(), &["serve", "--port", "0", "--data-dir", "data"]);
    let line = text(&second.stderr);
    assert_eq!(second.status.code(), Some(1));
    assert!(line.contains(&format!("pid {}", daemon.pid())) && line.lines().count() == 1, "{line}");
}

// faults: C14
#[test]
fn a_taken_port_is_named_with_its_owner_and_nothing_is_started() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let config = notes("[instances]\nnotes = ['alice']");
    fs::write(folder.path().join("tenement.toml"), config).unwrap();
    let refused = run(
        folder.path(),
        &["serve", "--host", "127.0.0.1", "--port", &port, "--data-dir", folder.path().to_str().unwrap()],
    );
    let line = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    let owner = format!("(pid {})", std::process::id());
    assert!(line.contains(&format!("127.0.0.1:{port} is in use by")) && line.contains(&owner), "{line}");
    assert!(!folder.path().join("notes").exists());
}

// faults: C2 C3 C13
#[test]
fn what_cannot_start_says_why_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let write = |text: &str| fs::write(folder.path().join("tenement.toml"), text).unwrap();
    let serve = |more: &[&str]| {
        let mut arguments = vec!["serve", "--port", "0", "--host", "127.0.0.1"];
        arguments.extend(more);
        let output = run(folder.path(), &arguments);
        (output.status.code(), text(&output.stderr))
    };
    write("[service.api]\n");
    let (code, said) = serve(&["--data-dir", "data"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("Service 'api' missing required field: command"), "{said}");
    write("[service.api]\ncommand = 'true'\nhelth = '/'\n");
    let (code, said) = serve(&["--data-dir", "data", "--strict"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("did you mean 'health'"), "{said}");
    write("[service.api]\ncommand = 'true'\nisolation = 'sandbox'\nmemory_limit_mb = 5\n");
    let (code, said) = serve(&["--data-dir", "data"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("isolation") && said.contains("memory_limit_mb"), "{said}");
    assert!(!folder.path().join("data").exists(), "nothing was begun");
    write("[service.api]\ncommand = 'true'\n");
    for place in ["tenement.toml", "tenement.toml/below", "/proc/tenement"] {
        let (code, said) = serve(&["--data-dir", place]);
        assert_eq!(code, Some(1), "{place}");
        assert!(said.contains(place) && said.contains("--data-dir") && said.lines().count() == 1, "{said}");
    }
}

/// A request to Alice's instance whose body, `text=late`, is still to come.
fn half_a_request(daemon: &TestDaemon) -> TcpStream {
    assert!(ok(&daemon.get(ALICE, "/")));
    let mut stream = daemon.connect();
    let head = format!("POST /add HTTP/1.1\r\nHost: {ALICE}\r\nContent-Length: 9\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let in_flight =
        || daemon.get("localhost", "/metrics").contains("tenement_requests_in_flight{service=\"notes\"} 1");
    until("in flight", in_flight);
    stream
}

// faults: A6
#[test]
fn what_nobody_may_send_is_not_waited_for_and_what_does_not_come_is_given_up() {
    let daemon = TestDaemon::start(&notes(""));
    for (bytes, expected) in [(1 << 20, "HTTP/1.1 413 "), (4096, "HTTP/1.1 408 ")] {
        let mut stream = daemon.connect();
        let head =
            format!("POST /api/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n{{");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(expected) && answer.contains("\r\n\r\n{\"error\":"), "{answer}");
    }
    daemon.stop();
}

// faults: D2
#[test]
fn a_request_in_flight_is_answered_before_the_end() {
    let config = notes("[instances]\nnotes = ['alice']").replace("stop_timeout = 5", "stop_timeout = 600");
    let mut daemon = TestDaemon::start(&config);
    let mut stream = half_a_request(&daemon);
    daemon.signal(Signal::TERM);
    until_draining(&daemon);
    until("closed to tenants", || is_told(&daemon, ALICE, "Retry-After: 5\r\n"));
    stream.write_all(b"text=late").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
    assert_eq!(daemon.wait(), Some(0));
}

// faults: D2
#[test]
fn a_request_that_waits_for_an_instance_is_answered_at_the_end_and_does_not_hold_it_up() {
    let config = "[settings]\nstop_timeout = 600\n[service.mute]\ncommand = 'sleep 1000'\nstartup_timeout = 600\n\
        autostart = false\n[instances]\nmute = ['one']";
    let mut daemon = TestDaemon::start(config);
    thread::scope(|scope| {
        let asked = scope.spawn(|| daemon.get("one.mute.localhost", "/"));
        until("waiting", || daemon.status("mute:one") == "starting");
        daemon.signal(Signal::TERM);
        let answer = asked.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: "), "{answer}");
    });
    assert_eq!(daemon.wait(), Some(0));
}

/// Lets neither SIGTERM nor a start within any time end it.
const STUBBORN: &str = "[service.stubborn]\nstartup_timeout = 600\n\
    command = \"sh -c 'trap : TERM; touch $DATA_DIR/up; while :; do sleep 1; done'\"\n";

fn until_stubborn(daemon: &TestDaemon) {
    until("it ignores SIGTERM", || daemon.folder.path().join("data/stubborn/one/up").exists());
}

/// Whether a new connection is told that this is the end; one from just before it may be closed.
fn is_told(daemon: &TestDaemon, host: &str, what: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", daemon.port)) else { return false };
    let head = format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    let answered = stream.write_all(head.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
    answered.is_ok() && answer.starts_with("HTTP/1.1 503 ") && answer.contains(what)
}

fn until_draining(daemon: &TestDaemon) {
    until("draining", || is_told(daemon, "localhost", r#"{"status":"draining","version":"#));
}

// faults: D2
#[test]
fn a_second_signal_hurries() {
    let config = format!("[settings]\nstop_timeout = 600\n{STUBBORN}[instances]\nstubborn = ['one']");
    let mut daemon = TestDaemon::start(&config);
    until_stubborn(&daemon);
    daemon.signal(Signal::TERM);
    until_draining(&daemon);
    daemon.signal(Signal::INT);
    assert_eq!(daemon.wait(), Some(0));
}

// faults: D2
#[test]
fn a_second_signal_hurries_while_a_request_is_still_in_flight() {
    let config = notes(&format!("{STUBBORN}[instances]\nstubborn = ['one']\nnotes = ['alice']"));
    let mut daemon = TestDaemon::start(&config.replace("stop_timeout = 5", "stop_timeout = 600"));
    until_stubborn(&daemon);
    let _stream = half_a_request(&daemon);
    daemon.signal(Signal::TERM);
    until_draining(&daemon);
    daemon.signal(Signal::INT);
    assert_eq!(daemon.wait(), Some(0));
}

// faults: C7
#[test]
fn why_a_start_failed_is_told_without_paths_and_only_to_who_may_know() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("orphan", "#!/no/such/python9\n");
    fs::set_permissions(folder.path().join("orphan"), fs::Permissions::from_mode(0o755)).unwrap();
    write(
        "tenement.toml",
        "[service.orphan]\ncommand = './orphan'\n[service.homeless]\ncommand = 'true'\nworkdir = 'nowhere'\n\
         [service.absent]\ncommand = 'no-such-program'\n",
    );
    let path = folder.path().to_str().unwrap().to_owned();
    let daemon = TestDaemon::start_in(folder, &[]);
    for (service, told) in [
        ("orphan", "'./orphan' can't run: the interpreter 'python9'"),
        ("homeless", "its working directory can't be entered: No such file"),
        ("absent", "command not found: 'no-such-program' in the PATH"),
    ] {
        let name = format!("{service}:a");
        let failed = text(&daemon.ten(&["--json", "spawn", &name]).stderr);
        let listed: serde_json::Value = serde_json::from_str(&daemon.ok(&["--json", "ps"])).unwrap();
        for shown in [&failed, listed["instances"][0]["reason"].as_str().unwrap()] {
            assert!(shown.contains(told) && !shown.contains(&path) && !shown.contains("/bin"), "{shown}");
        }
        let asked = daemon.get(&format!("a.{service}.localhost"), "/");
        assert!(asked.starts_with("HTTP/1.1 503 ") && asked.contains("could not be started"), "{asked}");
        assert!(!asked.contains(told) && !asked.contains(&path), "{asked}");
        daemon.ok(&["stop", &name]);
    }
    let log = fs::read_to_string(daemon.folder.path().join("daemon.log")).unwrap();
    assert!(log.contains(&format!("{path}/./orphan")) && log.contains("/no/such/python9"), "{log}");
}

#[test]
fn a_method_that_is_not_taken_is_a_405() {
    let daemon = TestDaemon::start(NOTHING);
    let refused = daemon.ask("DELETE", "localhost", "/health", "");
    assert!(refused.starts_with("HTTP/1.1 405 ") && refused.contains("allow: GET"), "{refused}");
}
