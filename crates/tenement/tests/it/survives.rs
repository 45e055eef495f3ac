//! What the API told somebody is so after the daemon was killed.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{NOTHING, TestDaemon};

const TOKEN: &str = "tenement_that_survives";

fn daemon(folder: tempfile::TempDir) -> TestDaemon {
    TestDaemon::start_as(folder, &[], |command| {
        command.env("TENEMENT_TOKEN", TOKEN);
    })
}

/// Head and body of an answer.
fn ask(
    daemon: &TestDaemon,
    method: &str,
    path: &str,
    token: &str,
    more: &str,
    body: &str,
) -> (String, Value) {
    let mut stream = daemon.connect();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n{more}\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), serde_json::from_str(body).unwrap_or_default())
}

/// As after `kill -9`.
fn killed(mut daemon: TestDaemon) -> TestDaemon {
    daemon.signal(Signal::KILL);
    daemon.wait();
    self::daemon(daemon.stop())
}

fn holds(folder: &Path, secret: &str) -> bool {
    let files = fs::read_dir(folder).unwrap().flatten().filter(|file| file.file_type().unwrap().is_file());
    let wanted = secret.as_bytes();
    files.filter(|file| file.file_name() != "api_token").any(|file| {
        let bytes = fs::read(file.path()).unwrap();
        bytes.windows(wanted.len()).any(|window| window == wanted)
    })
}

// faults: A2 A10
#[test]
fn tokens_and_answers_that_were_given_survive_a_kill_and_nobody_can_read_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tenement.toml"), NOTHING).unwrap();
    let first = daemon(folder);
    let key = "Idempotency-Key: once\r\n";
    let wanted = r#"{"name":"customer","scopes":["read"]}"#;
    let make = |daemon: &TestDaemon| ask(daemon, "POST", "/api/tokens", TOKEN, key, wanted);
    let (head, made) = make(&first);
    assert!(head.starts_with("http/1.1 201") && !head.contains("idempotency-replayed"), "{head}");
    let second = killed(first);
    let (head, again) = make(&second);
    assert!(head.starts_with("http/1.1 201") && head.contains("idempotency-replayed: true"), "{head}");
    assert_eq!(again, made);
    let token = made["token"].as_str().unwrap();
    assert!(!holds(&second.folder.path().join("data"), token));
    assert!(ask(&second, "GET", "/api/instances", token, "", "").0.starts_with("http/1.1 200"));
    let path = format!("/api/tokens/{}", made["id"].as_str().unwrap());
    assert!(ask(&second, "DELETE", &path, TOKEN, "", "").0.starts_with("http/1.1 204"));
    let third = killed(second);
    assert!(ask(&third, "GET", "/api/instances", token, "", "").0.starts_with("http/1.1 401"));
}
