//! The configuration file, taken anew by a real daemon.

mod file;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
};

use serde_json::{Value, json};

use crate::support::{TestDaemon, project, until};
use crate::websockets::{assert_alive, open_at};

/// Answers with its arguments; `/slow` once there is a file `go` in its data directory.
const APP: &str = r#"
import http.server, os, socketserver, sys, time
class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            open(os.environ["DATA_DIR"] + "/asked", "w").close()
            while not os.path.exists(os.environ["DATA_DIR"] + "/go"): time.sleep(0.01)
        said = (" ".join(sys.argv[1:]) + " " + os.environ.get("WORD", "")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
    def address_string(self): return "-"
    def log_message(self, *a): pass
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    request_queue_size = 128
    daemon_threads = True
Server(os.environ["SOCKET_PATH"], App).serve_forever()
"#;

const SETTINGS: &str = "[settings]\nbackoff_base_ms = 50\nstop_timeout = 20\n";

fn service(name: &str, argument: &str, more: &str) -> String {
    format!("[service.{name}]\ncommand = 'python3 app.py {argument}'\n{more}\n")
}

fn start(config: &str) -> TestDaemon {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.py"), APP).unwrap();
    fs::write(folder.path().join("tenement.toml"), format!("{SETTINGS}{config}")).unwrap();
    TestDaemon::start_in(folder, &["--domain", "test.localhost"])
}

fn file(daemon: &TestDaemon) -> PathBuf {
    daemon.folder.path().join("tenement.toml")
}

fn write(daemon: &TestDaemon, config: &str) {
    fs::write(file(daemon), format!("{SETTINGS}{config}")).unwrap();
}

fn json(daemon: &TestDaemon, arguments: &[&str]) -> Value {
    serde_json::from_str(&daemon.ok(&[&["--json"], arguments].concat())).unwrap()
}

fn reload(daemon: &TestDaemon) -> Value {
    json(daemon, &["reload"])
}

/// The body of an answer of an instance.
fn said(daemon: &TestDaemon, instance: &str) -> String {
    let (service, id) = instance.split_once(':').unwrap();
    let answer = daemon.get(&format!("{id}.{service}.test.localhost"), "/");
    answer.rsplit("\r\n\r\n").next().unwrap().trim().to_owned()
}

/// The one process of an instance.
fn pid(daemon: &TestDaemon, instance: &str) -> u32 {
    let variable = format!("TENEMENT_INSTANCE={instance}");
    let of_it = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|one| one == variable.as_bytes())
    };
    let found: Vec<_> = daemon.processes().into_iter().filter(of_it).collect();
    assert_eq!(found.len(), 1, "{instance}");
    found[0]
}

fn in_force(daemon: &TestDaemon) -> Value {
    let answer = daemon.ask_local("/api/config");
    serde_json::from_str(&answer).unwrap()
}

fn open_slow(daemon: &TestDaemon, instance: &str) -> TcpStream {
    let (service, id) = instance.split_once(':').unwrap();
    let mut stream = daemon.connect();
    let host = format!("{id}.{service}.test.localhost");
    write!(stream, "GET /slow HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let asked = daemon.folder.path().join("data").join(service).join(id).join("asked");
    until("asked", || asked.exists());
    stream
}

fn finish_slow(daemon: &TestDaemon, instance: &str, mut stream: TcpStream) -> String {
    let (service, id) = instance.split_once(':').unwrap();
    fs::write(daemon.folder.path().join("data").join(service).join(id).join("go"), "").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

// faults: C10
#[test]
fn services_and_instances_come_change_and_go_without_a_new_daemon() {
    let old = [
        service("api", "one", ""),
        service("same", "s", ""),
        service("old", "o", ""),
        "[instances]\napi = ['a', 'b']\nsame = ['x']\nold = ['c']\n".into(),
    ];
    let daemon = start(&old.concat());
    for (instance, word) in [("api:a", "one"), ("api:b", "one"), ("same:x", "s"), ("old:c", "o")] {
        until("up", || said(&daemon, instance) == word);
    }
    let (same, before) = (pid(&daemon, "same:x"), pid(&daemon, "api:a"));
    let new = [
        service("api", "two", "idle_timeout = 3600\n[service.api.env]\nWORD = 'env'\nMY_SECRET = 'hidden'"),
        service("same", "s", "request_timeout = 7\nmax_connections = 9"),
        service("web", "w", ""),
        "[instances]\napi = ['a']\nsame = ['x']\nweb = ['n']\n".into(),
    ];
    write(&daemon, &new.concat());
    let told = reload(&daemon);
    assert_eq!(strings(&told["services"]["added"]), ["web"]);
    assert_eq!(strings(&told["services"]["removed"]), ["old"]);
    let api = &told["services"]["changed"][0];
    let keys: Vec<_> = api["settings"].as_array().unwrap().iter().map(|one| &one["key"]).collect();
    assert_eq!(keys, ["command", "env.MY_SECRET", "env.WORD", "idle_timeout"]);
    assert_eq!(
        (&api["settings"][0]["takes_effect"], &api["settings"][1]["to"]),
        (&json!("restart"), &json!("***"))
    );
    assert_eq!(
        api["settings"][3],
        json!({ "key": "idle_timeout", "from": null, "to": 3600, "takes_effect": "at_once" })
    );
    let instances = &told["instances"];
    assert_eq!(strings(&instances["started"]), ["web:n"]);
    assert_eq!(strings(&instances["ended"]), ["old:c"]);
    assert_eq!(strings(&instances["undeclared"]), ["api:b"]);
    let restarted: Vec<_> =
        instances["restarted"].as_array().unwrap().iter().map(|one| &one["instance"]).collect();
    assert_eq!(restarted, ["api:a", "api:b"]);
    let reason = "configuration changed: command, env.MY_SECRET, env.WORD";
    assert_eq!(instances["restarted"][0]["reason"], reason);

    until("restarted", || ["api:a", "api:b"].iter().all(|one| said(&daemon, one) == "two env"));
    until("started", || said(&daemon, "web:n") == "w");
    assert_ne!(pid(&daemon, "api:a"), before);
    assert_eq!(pid(&daemon, "same:x"), same, "what needs no restart goes on");
    assert_eq!(in_force(&daemon)["services"]["same"]["max_connections"], 9);
    assert!(daemon.get("c.old.test.localhost", "/").starts_with("HTTP/1.1 404 "));
    until("gone", || daemon.status("old:c").is_empty());
    let lines = daemon.ok(&["--json", "events", "-n", "1000"]);
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |instance: &str, cause: &str, reason: &str| {
        events
            .iter()
            .any(|one| one["instance"] == instance && one["cause"] == cause && one["reason"] == reason)
    };
    assert!(told("api:a", "reload", reason), "{events:?}");
    assert!(told("old:c", "removed", "its service is no longer in the configuration"), "{events:?}");
    let audit = daemon.ask_local("/api/audit?action=reload");
    assert!(audit.contains("\"POST\"") && audit.contains("/api/reload"), "{audit}");
    assert_eq!(daemon.ok(&["reload"]), "Nothing to change: the file says what is in force.\n");
}

// faults: C10
#[test]
fn a_removed_service_is_drained_and_what_it_had_comes_back_with_it() {
    let keeps = service("keep", "k", "");
    let gone = service("gone", "g", "[service.gone.env]\nWORD = 'w'");
    let daemon = start(&[keeps.as_str(), &gone].concat());
    daemon.ok(&["spawn", "gone:a", "--env", "WORD=own"]);
    let slow = open_slow(&daemon, "gone:a");
    write(&daemon, &keeps);
    assert_eq!(strings(&reload(&daemon)["instances"]["ended"]), ["gone:a"]);
    assert!(daemon.get("a.gone.test.localhost", "/").starts_with("HTTP/1.1 404 "), "its routes go at once");
    assert_eq!(daemon.processes().len(), 1, "a request is under way");
    let answer = finish_slow(&daemon, "gone:a", slow);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("g own"), "{answer}");
    until("ended", || daemon.processes().is_empty());
    until("let go", || daemon.status("gone:a").is_empty());
    assert!(daemon.folder.path().join("data/gone/a/go").exists(), "data stays");
    assert_eq!(daemon.ten(&["restart", "gone:a"]).status.code(), Some(3));

    write(&daemon, &[keeps.as_str(), &gone].concat());
    let told = reload(&daemon);
    assert_eq!(
        strings(&told["instances"]["started"]),
        ["gone:a"],
        "as at boot: it can't be woken by falling asleep"
    );
    until("back", || said(&daemon, "gone:a") == "g own");

    // And over a restart of the daemon in between.
    write(&daemon, &keeps);
    reload(&daemon);
    let daemon = TestDaemon::start_in(daemon.stop(), &["--domain", "test.localhost"]);
    assert_eq!(daemon.status("gone:a"), "");
    write(&daemon, &[keeps.as_str(), &gone].concat());
    reload(&daemon);
    until("back", || said(&daemon, "gone:a") == "g own");
}

#[test]
fn an_end_that_hangs_is_cut_after_its_time() {
    let keeps = service("keep", "k", "");
    let daemon = start(&[keeps.as_str(), &service("gone", "g", "")].concat());
    daemon.ok(&["spawn", "gone:a"]);
    let mut slow = open_slow(&daemon, "gone:a");
    fs::write(file(&daemon), format!("[settings]\nstop_timeout = '200ms'\n{keeps}")).unwrap();
    reload(&daemon);
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "it is cut, and tried again where nobody is: {answer}");
    until("ended", || daemon.processes().is_empty());
}

#[test]
fn websockets_and_requests_under_way_survive_a_change_that_takes_effect_at_once() {
    let chat = |more: &str| {
        let app = project().join("examples/chat/server.js");
        format!(
            "[service.chat]\ncommand = \"node '{}'\"\n{more}\n[instances]\nchat = ['lobby']\n",
            app.display()
        )
    };
    let api = |more: &str| service("api", "a", more);
    let daemon = start(&[api(""), chat("")].concat());
    daemon.ok(&["spawn", "api:a"]);
    let mut socket = open_at(&daemon, "lobby.chat.test.localhost");
    let slow = open_slow(&daemon, "api:a");
    let pids = (pid(&daemon, "api:a"), pid(&daemon, "chat:lobby"));
    write(
        &daemon,
        &[
            api("idle_timeout = 1\nhealth = '/'\nmax_connections = 1\nrestart = 'never'\non_demand = false"),
            chat("idle_timeout = 1"),
        ]
        .concat(),
    );
    let told = reload(&daemon);
    assert_eq!(told["instances"]["restarted"], json!([]));
    assert_alive(&mut socket);
    let full = daemon.get("a.api.test.localhost", "/");
    assert!(full.starts_with("HTTP/1.1 503 "), "max_connections holds at once: {full}");
    until("checked", || json(&daemon, &["ps"])["instances"][0]["health"] == "healthy");
    let answer = finish_slow(&daemon, "api:a", slow);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_alive(&mut socket);
    assert_eq!(pid(&daemon, "chat:lobby"), pids.1);
    drop(socket);
    until("asleep", || daemon.status("api:a") == "sleeping" && daemon.status("chat:lobby") == "sleeping");
    let refused = daemon.get("a.api.test.localhost", "/");
    assert!(refused.starts_with("HTTP/1.1 503 "), "on_demand = false: {refused}");
}

// faults: C10
#[test]
fn back_and_forth_under_load_leaves_nothing_behind_and_ends_where_the_file_says() {
    let one = [
        service("api", "one", "idle_timeout = 600"),
        service("gone", "g", "on_demand = 'any'\nidle_timeout = 600"),
        "[instances]\napi = ['a', 'b']\n".into(),
    ]
    .concat();
    let two = [
        service("api", "two", "socket = '{data_dir}/run/other-{id}.sock'\nidle_timeout = 1"),
        "[instances]\napi = ['b', 'c']\n".into(),
    ]
    .concat();
    let daemon = start(&one);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let going = || !stop.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        for host in ["a.api", "b.api", "x.gone", "y.gone"] {
            let (daemon, going) = (&daemon, &going);
            scope.spawn(move || {
                while going() {
                    let answer = daemon.get(&format!("{host}.test.localhost"), "/");
                    let status = answer.split(' ').nth(1).unwrap_or_default();
                    assert!(["200", "404", "502", "503"].contains(&status), "{host}: {answer}");
                }
            });
        }
        scope.spawn(|| {
            while going() {
                daemon.ten(&["spawn", "gone:z", "--no-wait"]);
                daemon.ten(&["stop", "gone:z", "--yes"]);
                daemon.ten(&["restart", "api:a"]);
            }
        });
        for round in 0..12 {
            write(&daemon, if round % 2 == 0 { &two } else { &one });
            daemon.ok(&["reload"]);
        }
        write(&daemon, &two);
        reload(&daemon);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    for instance in ["api:a", "api:b", "api:c"] {
        until("as the file says", || said(&daemon, instance) == "two");
    }
    until("gone", || json(&daemon, &["ps"])["instances"].as_array().unwrap().len() == 3);
    assert_eq!(daemon.metric("tenement_panics_total"), 0);
    until("no more processes", || daemon.processes().len() <= 3);
}

#[test]
fn what_failed_is_tried_again_with_a_command_that_is_right() {
    let daemon = start(&[service("api", "a", ""), "[instances]\napi = ['a']\n".into()].concat());
    let wrong = "[service.api]\ncommand = './no-such-command'\n[instances]\napi = ['a']\n";
    write(&daemon, wrong);
    reload(&daemon);
    until("failed", || daemon.status("api:a") == "failed");
    write(&daemon, &[service("api", "b", ""), "[instances]\napi = ['a']\n".into()].concat());
    assert_eq!(strings(&reload(&daemon)["instances"]["started"]), ["api:a"]);
    until("up", || said(&daemon, "api:a") == "b");
}

#[test]
fn log_sinks_and_limits_follow() {
    let sink = |name: &str| {
        format!(
            "[[settings.log_sink]]\ntype = 'file'\nname = '{name}'\npath = '{{data_dir}}/../{name}-{{id}}.log'\n"
        )
    };
    let app = "[service.app]\ncommand = \"sh -c 'while read -r line; do echo said $line; done < go'\"\nstartup_timeout = '1h'\n";
    let daemon = start(&[sink("one").as_str(), app].concat());
    let folder = daemon.folder.path().to_owned();
    assert!(std::process::Command::new("mkfifo").arg(folder.join("go")).status().unwrap().success());
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    let mut go = fs::File::options().write(true).open(folder.join("go")).unwrap();
    let has = |sink: &str, line: &str| {
        fs::read_to_string(folder.join(format!("{sink}-a.log"))).is_ok_and(|text| text.contains(line))
    };
    writeln!(go, "first").unwrap();
    until("delivered", || has("one", "said first"));
    fs::write(file(&daemon), format!("{SETTINGS}log_max_size = '1M'\n{}{app}", sink("two"))).unwrap();
    let told = reload(&daemon);
    let keys: Vec<_> =
        told["settings"].as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["log_max_size", "log_sink"]);
    assert_eq!(json(&daemon, &["retention"])["log_max_size"], 1 << 20);
    writeln!(go, "second").unwrap();
    until("delivered", || has("two", "said second"));
    assert!(!has("two", "said first"), "it begins with what comes from here on");
    assert!(!has("one", "said second"));
    let sinks: Value = serde_json::from_str(&daemon.ask_local("/api/logs/sinks")).unwrap();
    assert_eq!((sinks["sinks"].as_array().unwrap().len(), &sinks["sinks"][0]["name"]), (1, &json!("two")));
    drop(go);
}
