//! What the API told somebody is so after the daemon was killed.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
};

use serde_json::Value;

use crate::support::{NOTHING, TestDaemon, until};

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
fn killed(daemon: TestDaemon) -> TestDaemon {
    self::daemon(daemon.abandon())
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

/// Prints numbered lines as fast as it can; the file says how many it has printed, whatever becomes of it.
const PRINTER: &str = r#"
import mmap, os, time
with open(f"printed-{os.getpid()}", "w+b") as file:
    file.truncate(8)
    printed = mmap.mmap(file.fileno(), 8)
for n in range(200_000):
    os.write(1, b"%d line %07d\n" % (os.getpid(), n))
    printed[:8] = (n + 1).to_bytes(8, "little")
time.sleep(1000)
"#;

/// A service `app` that is this program.
fn configure(folder: &Path, program: &str) {
    fs::write(folder.join("printer.py"), program).unwrap();
    let config = format!(
        "[settings]\nbackoff_base_ms = 50\nmax_restarts = 100\n[service.app]\ncommand = \"python3 printer.py\"\nstartup_timeout = '1h'\nworkdir = '{}'\n",
        folder.display()
    );
    fs::write(folder.join("tenement.toml"), config).unwrap();
}

/// How many lines each process of the printer has printed.
fn printed(folder: &Path) -> std::collections::BTreeMap<String, usize> {
    let files = fs::read_dir(folder).unwrap().flatten();
    files
        .filter_map(|file| {
            let pid = file.file_name().to_str()?.strip_prefix("printed-")?.to_owned();
            let count = fs::read(file.path()).unwrap().try_into().ok()?;
            Some((pid, usize::from_le_bytes(count)))
        })
        .collect()
}

// faults: G9
#[test]
fn lines_of_instances_whose_daemon_is_killed_are_there_once() {
    const KILLS: usize = 4;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    configure(&path, PRINTER);
    let mut daemon = daemon(folder);
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    // What is in a pipe stays as long as somebody has it open.
    let pipe = path.join("data/pipes/app/a/stdout");
    let mut held = None;
    for kill in 1..=KILLS {
        until("printing", || {
            let printed = printed(&path);
            printed.len() == kill && printed.values().all(|&lines| lines > 1000)
        });
        held.get_or_insert_with(|| fs::File::options().read(true).write(true).open(&pipe).unwrap());
        // The next one starts the instance again.
        daemon = self::daemon(daemon.kill());
    }
    until("printing", || printed(&path).len() == KILLS + 1);
    daemon.ok(&["stop", "app:a"]);
    let lines = daemon.ok(&["logs", "app:a", "--all", "--json"]);
    let mut found = std::collections::BTreeMap::<String, usize>::new();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let message = line["message"].as_str().unwrap();
        let (pid, text) = message.split_once(' ').unwrap();
        let so_far = found.entry(pid.to_owned()).or_default();
        assert_eq!(text, format!("line {so_far:07}"), "each once and in order");
        *so_far += 1;
    }
    for (pid, lines) in printed(&path) {
        let kept = found[&pid];
        assert!(kept == lines || kept == lines + 1, "{kept} of {lines}");
    }
}

/// Prints a half of its lines, and the other when it is told to.
const TWO_HALVES: &str = r#"
import mmap, os, time
with open(f"printed-{os.getpid()}", "w+b") as file:
    file.truncate(8)
    printed = mmap.mmap(file.fileno(), 8)
for n in range(200_000):
    if n == 100_000:
        open("go").read()
    os.write(1, b"%d line %07d\n" % (os.getpid(), n))
    printed[:8] = (n + 1).to_bytes(8, "little")
time.sleep(1000)
"#;

// faults: G9
#[test]
fn what_is_printed_while_the_daemon_is_away_is_read_by_the_next_one() {
    const LINES: usize = 200_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    configure(&path, TWO_HALVES);
    // Who reads it waits until somebody opens it to write.
    let owner = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path.join("go"), rustix::fs::FileType::Fifo, owner, 0).unwrap();
    let mut daemon = daemon(folder);
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    let first = || printed(&path).into_keys().next();
    until("begun", || first().is_some());
    let pid = first().unwrap();
    let count = || printed(&path)[&pid];
    for kill in 1..=3 {
        // More than a pipe holds, so that somebody has to read it.
        until("printing", || count() > 20_000 * kill);
        daemon = self::daemon(daemon.kill_alone());
    }
    // It is taken on as it is, again and again.
    assert_eq!(daemon.processes(), [pid.parse::<u32>().unwrap()]);
    let list: Value = serde_json::from_str(&daemon.ok(&["--json", "ps"])).unwrap();
    assert_eq!(list["instances"][0]["pid"].to_string(), pid);
    fs::write(path.join("go"), "").unwrap();
    until("printed", || count() == LINES);
    let prefix = format!("{pid} line ");
    let kept = || {
        let lines = daemon.ok(&["logs", "app:a", "--all", "--json"]);
        let messages = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["message"].as_str().unwrap().to_owned());
        messages.filter_map(|line| line.strip_prefix(&prefix).map(str::to_owned)).collect::<Vec<_>>()
    };
    let last = format!("{prefix}{:07}\n", LINES - 1);
    until("read", || daemon.ok(&["logs", "app:a", "-n", "1"]).ends_with(&last));
    let kept = kept();
    assert_eq!(kept.len(), LINES);
    for (n, line) in kept.iter().enumerate() {
        assert_eq!(*line, format!("{n:07}"), "each once and in order");
    }
    daemon.ok(&["stop", "app:a"]);
    assert_eq!(daemon.processes(), [0; 0]);
}
