//! What instances print, as it is kept and asked for.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use serde_json::Value;

use crate::support::{PATIENCE, TestDaemon, notes, text, until};

/// A service that prints by a script of the shell, once, and stays.
fn printing(script: &str, more: &str) -> String {
    format!(
        "[service.app]\ncommand = \"sh -c '{script}; exec sleep 1000'\"\nstartup_timeout = '1h'\n{more}\n"
    )
}

/// What the API answers on the local socket: status and body.
pub(crate) fn api(daemon: &TestDaemon, path: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(daemon.folder.path().join("data/admin.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = text(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

/// What is removed meanwhile takes nothing.
fn size(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap().flatten();
    files.map(|file| file.metadata().map_or(0, |found| found.len())).sum()
}

// faults: G6
#[test]
fn a_service_has_its_own_limit() {
    let daemon = TestDaemon::start(&printing(
        "i=0; while [ $i -lt 20000 ]; do echo a line with the number $i; i=$((i+1)); done",
        "log_max_size = '64K'",
    ));
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    until("printed", || daemon.ok(&["logs", "app:a", "-n", "1"]).ends_with("number 19999\n"));
    // The limit may be exceeded by what came in one go, until it is looked at.
    until("bounded", || size(&daemon.folder.path().join("data/logs/app/a")) <= 64 << 10);
    assert!(daemon.ok(&["logs", "app:a", "-n", "100000"]).lines().count() > 1000);
    daemon.ok(&["stop", "app:a"]);
}

// faults: G1
#[test]
fn an_answer_is_bounded_and_the_client_gets_all_of_it() {
    let daemon = TestDaemon::start(&printing(
        "i=0; while [ $i -lt 300 ]; do printf %060000d $i; echo; i=$((i+1)); done; echo done",
        "",
    ));
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    until("printed", || daemon.ok(&["logs", "app:a", "-n", "1"]).ends_with("done\n"));
    let (status, answer) = api(&daemon, "/api/logs?limit=1000");
    let lines = answer["logs"].as_array().unwrap().len();
    assert_eq!((status, &answer["pagination"]["has_more"]), (200, &Value::Bool(true)));
    assert!(lines > 100 && answer.to_string().len() <= 8 << 20, "{lines}");
    assert_eq!(daemon.ok(&["logs", "app:a", "-n", "1000"]).lines().count(), 301);
    daemon.ok(&["stop", "app:a"]);
}

// faults: A9
#[test]
fn lines_are_asked_for_by_their_time() {
    let daemon = TestDaemon::start(&printing("echo first", ""));
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    until("printed", || daemon.ok(&["logs", "app:a"]).contains("first"));
    let (_, answer) = api(&daemon, "/api/logs/app/a");
    let at = answer["logs"][0]["timestamp"].as_str().unwrap().to_owned();
    for (arguments, found) in [
        (["--since", "1h"], true),
        (["--until", "1h"], false),
        (["--since", &at], true),
        (["--until", &at], true),
        (["--since", "2999-01-01T00:00:00Z"], false),
        (["--until", "2020-01-01T02:00:00+02:00"], false),
    ] {
        let said = daemon.ok(&[&["logs"][..], &arguments].concat());
        assert_eq!(said.contains("first"), found, "{arguments:?}");
    }
    for path in
        ["/api/logs?since=soon", "/api/logs?until=1w", "/api/logs/app/a?since=", "/api/logs?since=-5m"]
    {
        let (status, answer) = api(&daemon, path);
        assert_eq!((status, answer["error"].as_str()), (400, Some("bad_request")), "{path}");
    }
    let refused = daemon.ten(&["logs", "--since", "soon"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("RFC 3339"), "{}", text(&refused.stderr));
    daemon.ok(&["stop", "app:a"]);
}

#[test]
fn pipes_go_with_their_instance() {
    let daemon = TestDaemon::start(&notes("[instances]\nnotes = ['alice', 'bob', 'carol']"));
    let pipes = |id: &str| daemon.folder.path().join("data/pipes/notes").join(id);
    for id in ["alice", "bob", "carol"] {
        until("running", || daemon.status(&format!("notes:{id}")) == "running");
        assert!(pipes(id).join("stdout").exists());
    }
    daemon.ok(&["stop", "notes:alice"]);
    daemon.ok(&["stop", "notes:bob", "--purge"]);
    daemon.ok(&["stop", "notes:carol", "--keep"]);
    assert!(!pipes("alice").exists() && !pipes("bob").exists() && pipes("carol").exists());
    assert!(daemon.ok(&["logs", "notes:alice"]).contains("notes are at"), "what it printed stays");
    daemon.ok(&["spawn", "notes:alice"]);
    assert!(pipes("alice").join("stderr").exists());
}

#[test]
fn what_was_written_is_packed_and_its_index_made_again_when_asked_for() {
    let daemon = TestDaemon::start(&printing(
        "i=0; while [ $i -lt 20000 ]; do echo a line of some length with the number $i of twenty thousand; i=$((i+1)); done",
        "",
    ));
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    let folder = daemon.folder.path().join("data/logs/app/a");
    let indexes = || {
        let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        files.filter(|file| file.path().extension().is_some_and(|suffix| suffix == "idx")).count()
    };
    // A while after the last line, as nothing more comes.
    until("packed", || indexes() > 0);
    let found = || daemon.ok(&["logs", "app:a", "--query", "NUMBER 19999", "-n", "1000"]).lines().count();
    assert_eq!(found(), 1);
    let said = daemon.ok(&["logs", "reindex"]);
    assert!(said.starts_with("Indexes of") && said.ends_with("made\n"), "{said}");
    assert_eq!((found(), indexes()), (1, 1));
    let (_, kept) = api(&daemon, "/api/logs/retention");
    assert_eq!(kept["unindexed_bytes"], 0);
    daemon.ok(&["stop", "app:a", "--purge"]);
    assert!(!folder.exists());
}

// faults: G8
#[test]
fn lines_that_cannot_be_read_are_not_missing_in_silence() {
    let daemon = TestDaemon::start(&printing(
        "i=0; while [ $i -lt 20000 ]; do echo a line with the number $i; i=$((i+1)); done",
        "log_max_size = '2M'",
    ));
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    until("printed", || daemon.ok(&["logs", "app:a", "-n", "1"]).ends_with("number 19999\n"));
    let folder = daemon.folder.path().join("data/logs/app/a");
    let packed = || {
        let files = std::fs::read_dir(&folder).unwrap().flatten().map(|file| file.path());
        files.into_iter().find(|path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "zst"))
    };
    until("packed", || packed().is_some());
    let file = std::fs::File::options().write(true).open(packed().unwrap()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xff; 64], 1000).unwrap();
    // What was packed just now may still be read from where it was before.
    let page = || api(&daemon, "/api/logs?search=number&limit=1").1;
    until("found", || page()["damaged"].as_u64() > Some(0));
    let page = page();
    let (_, counted) = api(&daemon, "/api/logs/histogram");
    assert_eq!(counted["damaged"], page["damaged"]);
    let found = daemon.ten(&["logs", "app:a", "--search", "number"]);
    assert!(found.status.success() && text(&found.stderr).contains("lines are missing"), "{found:?}");
    let all = daemon.ten(&["logs", "--all"]);
    assert_eq!(all.status.code(), Some(7), "{}", text(&all.stderr));
    assert!(text(&all.stdout).contains("number 19999\n"), "all else is there");
    assert!(daemon.metric("tenement_log_damaged_total") > 0);
}

#[test]
fn what_a_deleted_instance_has_left_can_be_erased() {
    let daemon = TestDaemon::start(&notes("[instances]\nnotes = ['alice', 'bob']"));
    let data = |of: &str| daemon.folder.path().join("data").join(of);
    until("running", || daemon.status("notes:alice") == "running" && daemon.status("notes:bob") == "running");
    daemon.ok(&["stop", "notes:alice"]);
    assert!(daemon.ok(&["logs", "notes:alice"]).contains("notes are at"));
    assert!(data("notes/alice").exists());
    daemon.ok(&["stop", "notes:alice", "--purge"]);
    assert!(!data("notes/alice").exists() && !data("logs/notes/alice").exists());
    assert_eq!(api(&daemon, "/api/logs/notes/alice").0, 404);
    for nothing in ["notes:alice", "notes:nobody", "other:nobody", "logs:notes", "run:notes"] {
        let answer = daemon.ten(&["stop", nothing, "--purge"]);
        assert!(!answer.status.success() && text(&answer.stderr).contains("not found"), "{answer:?}");
    }
    assert!(data("logs/notes/bob").exists() && daemon.status("notes:bob") == "running");
    daemon.ok(&["spawn", "notes:alice"]);
}
