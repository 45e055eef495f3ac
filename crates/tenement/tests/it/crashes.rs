//! What is told of an instance that ended and was not to.

use std::{
    fs,
    io::{Read, Write},
};

use serde_json::{Value, json};

use crate::support::{TestDaemon, until};

/// All that happened to an instance.
fn events(daemon: &TestDaemon, instance: &str) -> Vec<Value> {
    let events = daemon.ok(&["--json", "events", instance, "-n", "1000"]);
    events.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Of one instance, the one event with that cause.
fn event(daemon: &TestDaemon, instance: &str, cause: &str) -> Value {
    let mut found = Value::Null;
    until("it is told", || {
        let mut events = events(daemon, instance).into_iter();
        found = events.find(|event| event["cause"] == cause).unwrap_or_default();
        !found.is_null()
    });
    found
}

/// What the API answers.
fn ask(daemon: &TestDaemon, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Value {
    let mut stream = daemon.connect();
    let own = fs::read_to_string(daemon.folder.path().join("data/api_token")).unwrap();
    let (token, body) = (token.unwrap_or(own.trim()), body.map(Value::to_string).unwrap_or_default());
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json{}\r\n\r\n{body}",
        if body.is_empty() { String::new() } else { format!("\r\nContent-Length: {}", body.len()) }
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    if head.contains(" 204 ") { Value::Null } else { serde_json::from_str(body).expect(&answer) }
}

fn get(daemon: &TestDaemon, path: &str, token: Option<&str>) -> Value {
    ask(daemon, "GET", path, token, None)
}

const CRASHING: &str = r#"
[settings]
max_restarts = 0
max_starting = 8
[service.app]
command = "sh -c 'for i in $(seq 1 80); do echo line $i; done;  printf \"secret 4711: it broke\" >&2; exit 3'"
startup_timeout = 20
[service.killed]
command = "sh -c 'echo near; kill -9 $$'"
[service.silent]
command = "sh -c 'exit 4'"
[service.loud]
command = "sh -c 'for i in $(seq 1 30); do printf %%02000d $i; echo; done; exit 1'"
[service.late]
command = "sh -c 'echo waiting for the database; exec sleep 1000'"
startup_timeout = 5
[service.told]
command = "sh -c 'echo began; exec sleep 1000'"
startup_timeout = 60
"#;

/// The first run gets ready and ends then, the others end at once.
const AGAIN: &str = r#"
[settings]
max_restarts = 2
backoff_base_ms = 1
[service.app]
command = "sh -c 'echo try >> tries; n=$(wc -l < tries); echo this is try $n; [ $n -gt 1 ] || python3 up.py; exit 3'"
startup_timeout = 60
"#;
const UP: &str = r#"
import os, socket
listening = socket.socket(socket.AF_UNIX)
listening.bind(os.environ["SOCKET_PATH"])
listening.listen(8)
while not os.path.exists("enough"):
    listening.settimeout(0.05)
    try:
        listening.accept()
    except TimeoutError:
        pass
"#;

#[test]
fn each_crash_of_one_that_is_restarted_is_told_with_its_lines() {
    let daemon = TestDaemon::start(AGAIN);
    let home = daemon.folder.path();
    fs::write(home.join("up.py"), UP).unwrap();
    daemon.ok(&["spawn", "app:a"]);
    fs::write(home.join("enough"), "").unwrap();
    let mut crashes = Vec::new();
    until("it is given up", || {
        let events = events(&daemon, "app:a");
        crashes = events.iter().filter(|event| event["cause"] == "exit").cloned().collect();
        events.iter().any(|event| event["to"] == "failed")
    });
    let lines: Vec<&Value> = crashes.iter().map(|crash| &crash["last_lines"]).collect();
    assert_eq!(lines, [&json!(["this is try 1"]), &json!(["this is try 2"]), &json!(["this is try 3"])]);
    let words: Vec<_> = crashes.iter().map(|crash| (&crash["exit_code"], &crash["from"])).collect();
    let (three, again) = (json!(3), json!("restarting"));
    assert_eq!(words, [(&three, &json!("running")), (&three, &again), (&three, &again)]);
}

#[test]
fn an_end_that_nobody_asked_for_has_the_last_lines() {
    let daemon = TestDaemon::start(&CRASHING.replace("%%", "%"));
    for name in ["app:a", "app:b", "killed:a", "silent:a", "loud:a", "late:a", "told:a"] {
        daemon.ok(&["spawn", name, "--no-wait"]);
    }
    let crashed = event(&daemon, "app:a", "exit");
    let lines: Vec<&str> =
        crashed["last_lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!((lines.len(), *lines.last().unwrap()), (50, "secret 4711: it broke"), "{crashed}");
    assert!(lines.contains(&"line 80"), "{lines:?}");
    assert_eq!((&crashed["exit_code"], &crashed["oom"]), (&json!(3), &json!(false)));
    // The link leads to just these.
    let page = get(&daemon, crashed["log"].as_str().unwrap(), None);
    assert!(page["logs"].is_array(), "{page} {crashed}");
    let linked: Vec<_> = page["logs"].as_array().unwrap().iter().map(|line| &line["message"]).collect();
    assert_eq!(json!(linked), crashed["last_lines"]);
    let killed = event(&daemon, "killed:a", "exit");
    assert_eq!((&killed["signal"], &killed["last_lines"]), (&json!(9), &json!(["near"])));
    let silent = event(&daemon, "silent:a", "exit");
    assert_eq!(
        (&silent["exit_code"], &silent["last_lines"], &silent["log"]),
        (&json!(4), &json!(null), &json!(null))
    );
    let loud = event(&daemon, "loud:a", "exit");
    assert_eq!(loud["last_lines"].as_array().unwrap().len(), 8, "16 KiB");
    assert!(loud["last_lines"][7].as_str().unwrap().ends_with("30"), "the newest");
    let late = event(&daemon, "late:a", "start_failed");
    assert_eq!(late["last_lines"], json!(["waiting for the database"]), "{late}");
    // Whoever may not see the instance does not see its lines either.
    let made =
        ask(&daemon, "POST", "/api/tokens", None, Some(&json!({ "scopes": ["read"], "instance": "app:b" })));
    event(&daemon, "app:b", "exit");
    let bound = get(&daemon, "/api/events?limit=1000", made["token"].as_str());
    assert!(!bound["events"].as_array().unwrap().is_empty());
    for event in bound["events"].as_array().unwrap() {
        assert_eq!(event["instance"], "app:b");
    }
    assert!(get(&daemon, "/api/events?instance=app:a", made["token"].as_str())["events"] == json!([]));
    // For people.
    let brief = daemon.ok(&["events", "killed:a"]);
    assert!(brief.contains("(signal 9, after ") && !brief.contains("near"), "{brief}");
    assert!(daemon.ok(&["-v", "events", "killed:a"]).contains("\n    | near\n"));
    until("printed", || daemon.ok(&["logs", "told:a"]).contains("began"));
    daemon.ok(&["stop", "told:a"]);
    let told = daemon.ok(&["--json", "events", "told:a"]);
    assert!(!told.contains("began"), "that was asked for: {told}");
    // Erased with all else.
    for id in ["a", "b"] {
        ask(&daemon, "DELETE", &format!("/api/instances/app/{id}?purge=true"), None, None);
    }
    let folder = daemon.folder.path().join("data");
    until("erased", || {
        let bytes = fs::read(folder.join("history.db")).unwrap();
        daemon.ok(&["--json", "events"]).lines().all(|line| !line.contains("4711"))
            && !bytes.windows(4).any(|four| four == b"4711")
    });
}
