//! `ten logs -f` and `ten events -f`, and what a restart of the daemon does to them.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::stub::{Answer, Stub};
use crate::support::{TestDaemon, notes, ten, text, until};

fn line(instance: &str, seq: u64) -> Value {
    json!({
        "timestamp": format!("2026-01-12T10:30:{seq:02}.000Z"), "instance": instance, "level": "info",
        "message": format!("line {seq}"), "seq": seq, "stream": "stdout",
    })
}

fn lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}

fn page(values: &[Value]) -> Answer {
    Answer::Json(200, json!({ "logs": values, "pagination": { "has_more": false } }).to_string())
}

/// So many lines of standard output; then Ctrl-C. The lines, and standard error.
fn until_interrupted(
    mut child: Child,
    count: usize,
    between: impl FnOnce(&mut dyn BufRead),
) -> (Vec<String>, String) {
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    between(&mut stderr);
    let shown: Vec<String> = stdout.by_ref().take(count).collect();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "the one way to end it");
    assert_eq!(stdout.next(), None);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    (shown, rest)
}

#[test]
fn a_restart_of_the_daemon_neither_loses_nor_doubles_a_line() {
    let (a, b) = (|seq| line("api:a", seq), |seq| line("api:b", seq));
    let stub = Stub::start(move |number, _| match number {
        1 => Answer::Gone(lines(&[a(1), b(1), a(2)]) + "{\"instance\":\"api:a\",\"se"),
        // What was shown already is not shown again, whoever sends it.
        _ => Answer::Open(lines(&[b(1), a(2), a(3), b(2), a(4)])),
    });
    let child = stub.begin(&["logs", "-f", "-n", "3", "--level", "info"]);
    let (shown, rest) = until_interrupted(child, 6, |stderr| {
        let mut said = String::new();
        stderr.read_line(&mut said).unwrap();
        assert!(said.starts_with("ten: ") && said.contains("waiting for the daemon"), "{said}");
        stub.listen();
    });
    let shown: Vec<_> =
        shown.iter().map(|line| line.split_once(' ').unwrap().1.replace(" info  line", "")).collect();
    assert_eq!(shown, ["api:a 1", "api:b 1", "api:a 2", "api:a 3", "api:b 2", "api:a 4"]);
    assert_eq!(rest, "", "said once");
    let asked = stub.asked();
    assert_eq!(asked[0].line, "GET /api/logs?level=info&follow=true&limit=3");
    assert!(asked[0].head.contains("accept: application/x-ndjson"));
    let since = "since=2026-01-12T10%3A30%3A01.000Z";
    assert_eq!(
        asked[1].line,
        format!(
            "GET /api/logs?{since}&level=info&follow=true&from=api:a:3@1768213802000,api:b:2@1768213801000"
        )
    );
}

// faults: L3 W4
#[test]
fn a_noisy_instance_loses_nothing_while_the_daemon_is_away() {
    // More than a reader may be behind, and more than any page holds.
    let config = "[settings]\nmax_starting = 8\n[service.loud]\ncommand = \"sh -c 'seq {id}; sleep 1000'\"\nstartup_timeout = '1h'\n\
        [instances]\nloud = ['70000', '10']";
    let daemon = TestDaemon::start(config);
    let printed = |daemon: &TestDaemon, times: usize| {
        let has_all = |lines: usize| {
            let last = daemon.ok(&["--json", "logs", &format!("loud:{lines}"), "-n", "1"]);
            last.contains(&format!("\"seq\":{},", times * lines - 1))
        };
        until("printed", || has_all(70_000) && has_all(10));
    };
    printed(&daemon, 1);
    let mut command = ten(daemon.folder.path(), &["--data-dir", "data", "--json", "logs", "-f", "-n", "3"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut shown: Vec<String> = out.by_ref().take(3).collect();
    kill_process(Pid::from_child(&child), Signal::STOP).unwrap();
    let daemon = TestDaemon::start_in(daemon.stop(), &[]);
    printed(&daemon, 2);
    kill_process(Pid::from_child(&child), Signal::CONT).unwrap();
    let (mut left, lasts) = (2, ["\"seq\":139999,", "\"seq\":19,"]);
    while left > 0 {
        let line = out.next().unwrap();
        let whose = usize::from(line.contains("\"loud:10\""));
        left -= usize::from(line.contains(lasts[whose]));
        shown.push(line);
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), text(&ended.stderr)), (Some(0), String::new()), "nothing is missing");
    let mut next = std::collections::BTreeMap::new();
    for line in &shown {
        let line: Value = serde_json::from_str(line).unwrap();
        let seq = line["seq"].as_u64().unwrap();
        let expected = next.insert(line["instance"].to_string(), seq + 1).unwrap_or(seq);
        assert_eq!(seq, expected, "{line}");
    }
    assert_eq!(next.into_values().collect::<Vec<_>>(), [20, 140_000]);
}

#[test]
fn lines_that_a_slow_reader_missed_are_told() {
    let stub = Stub::start(|_, _| {
        Answer::Open(lines(&[
            line("api:a", 1),
            json!({ "instance": "api:a", "dropped": 5 }),
            line("api:a", 9),
        ]))
    });
    let (shown, said) = until_interrupted(stub.begin(&["logs", "api:a", "-f"]), 2, |_| {});
    assert!(shown[1].ends_with("line 9"), "{shown:?}");
    assert_eq!(said, "ten: 5 lines of api:a are missing here: they came faster than they were read\n");
    let (shown, said) =
        until_interrupted(stub.begin(&["--json", "logs", "api", "--id", "a", "-f"]), 3, |_| {});
    assert_eq!(serde_json::from_str::<Value>(&shown[1]).unwrap()["dropped"], 5);
    assert!(serde_json::from_str::<Value>(said.trim()).unwrap()["warning"].is_string());
    assert!(stub.lines()[0].starts_with("GET /api/logs/api/a?follow=true"));
}

// faults: L3
#[test]
fn a_reader_that_went_away_ends_it() {
    let stub = Stub::start(|_, _| Answer::Open(lines(&[line("api:a", 1), line("api:a", 2)])));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = stub.command(&["logs", "-f"]).stdout(writer).output().unwrap();
    assert_eq!((ended.status.code(), text(&ended.stderr)), (Some(0), String::new()));
    // Also when nothing more comes that it could have written.
    let mut child = stub.begin(&["logs", "-f"]);
    let mut shown = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(shown.nth(1).unwrap().unwrap().ends_with("line 2"));
    drop(shown);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

// faults: L2
#[test]
fn who_refuses_is_not_asked_again() {
    let refusal = |status, word: &str| {
        Answer::Json(status, json!({ "error": word, "message": "m", "status": status }).to_string())
    };
    let stub = Stub::start(move |number, _| match number {
        1 => refusal(404, "instance_not_found"),
        2 => refusal(503, "service_unavailable"),
        3 => Answer::Cut(String::new()),
        4 => refusal(503, "service_unavailable"),
        5 => refusal(401, "unauthorized"),
        // It knows nothing of following.
        _ => page(&[line("api:a", 1)]),
    });
    assert_eq!(stub.ten(&["logs", "api:a", "-f"]).status.code(), Some(3));
    assert_eq!(stub.ten(&["logs", "-f"]).status.code(), Some(1), "never was there");
    // Draining, then there again, but the token was revoked meanwhile.
    let revoked = stub.ten(&["logs", "-f"]);
    assert_eq!(text(&revoked.stderr).lines().count(), 2, "{}", text(&revoked.stderr));
    assert_eq!((revoked.status.code(), stub.lines().len()), (Some(6), 5), "{}", text(&revoked.stderr));
    let old = stub.ten(&["logs", "-f"]);
    assert_eq!(old.status.code(), Some(1));
    assert!(text(&old.stderr).contains("can't follow"), "{}", text(&old.stderr));
    assert_eq!(stub.ten(&["logs", "-f", "--until", "1h"]).status.code(), Some(2));
}

fn event(id: u64) -> Value {
    json!({
        "id": id, "timestamp": "2026-01-12T10:30:00.000Z", "instance": "api:a", "service": "api", "from": "running",
        "to": "sleeping", "cause": "idle", "actor": null, "reason": null, "exit_code": 0, "lasted_ms": 61_000,
    })
}

#[test]
fn events_are_shown_and_followed_from_the_last_one_on() {
    let stub = Stub::start(|number, _| match number {
        1 | 2 => Answer::Json(200, json!({ "events": [event(1), event(2)], "pagination": {} }).to_string()),
        3 => Answer::Cut(lines(&[event(2), event(3)])),
        _ => Answer::Open(lines(&[event(3), event(4)])),
    });
    let shown = stub.ok(&["events", "api:a", "-n", "2", "--since", "1h"]);
    let expected = "2026-01-12T10:30:00.000Z api:a running -> sleeping  idle (exit 0, after 1m 1s)\n";
    assert_eq!(shown, expected.repeat(2));
    let objects = stub.ok(&["--json", "events", "--service", "api"]);
    assert_eq!(serde_json::from_str::<Value>(objects.lines().nth(1).unwrap()).unwrap(), event(2));
    let (shown, said) = until_interrupted(stub.begin(&["events", "-f", "--json"]), 3, |_| {});
    let ids: Vec<_> =
        shown.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect();
    assert_eq!((ids, said.as_str()), (vec![json!(2), json!(3), json!(4)], ""), "it was there at once");
    assert_eq!(
        stub.lines(),
        [
            "GET /api/events?instance=api%3Aa&since=1h&limit=2",
            "GET /api/events?service=api&limit=50",
            "GET /api/events?follow=true&limit=50",
            "GET /api/events?follow=true&after=3&limit=1000",
        ]
    );
    assert_eq!(stub.ten(&["events", "-n", "1001"]).status.code(), Some(2));
}

#[test]
fn what_happened_to_an_instance_is_told_by_the_daemon() {
    let daemon = TestDaemon::start(&notes(""));
    daemon.ok(&["spawn", "notes:alice"]);
    daemon.ok(&["stop", "notes:alice"]);
    let told = daemon.ok(&["events", "notes:alice"]);
    assert!(told.contains(" notes:alice starting -> running  ready") && told.contains("by local"), "{told}");
    assert!(told.trim_end().rsplit('\n').next().unwrap().contains("-> forgotten"), "{told}");
    let objects = daemon.ok(&["--json", "events", "--service", "notes", "-n", "1"]);
    assert_eq!(serde_json::from_str::<Value>(&objects).unwrap()["instance"], "notes:alice");
    for never in [&["events", "notes:bob"][..], &["events", "-f", "notes:bob"]] {
        assert_eq!(daemon.ten(never).status.code(), Some(3), "{never:?}");
    }
    for verb in [&["events"][..], &["events", "-f"], &["logs"], &["logs", "-f"], &["ps"]] {
        let refused = daemon.ten(&[verb, &["--service", "nope"]].concat());
        assert_eq!(refused.status.code(), Some(3), "{verb:?}");
        assert_eq!(text(&refused.stderr), "ten: there is no service 'nope': see 'ten config'\n");
    }
}

#[test]
fn lines_of_a_real_daemon_go_on_after_its_restart() {
    let config = "[service.count]\ncommand = \"sh -c 'seq 1200; sleep 1000'\"\nstartup_timeout = '1h'\n\
        [instances]\ncount = ['a']";
    let daemon = TestDaemon::start(config);
    let mut command =
        ten(daemon.folder.path(), &["--data-dir", "data", "--json", "logs", "-f", "-n", "5000"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut shown: Vec<String> = lines.by_ref().take(1200).collect();
    let daemon = TestDaemon::start_in(daemon.stop(), &[]);
    shown.extend(lines.by_ref().take(1200));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ended = child.wait_with_output().unwrap();
    // Nothing, when it was there again at once.
    assert!(ended.status.success() && text(&ended.stderr).lines().count() <= 1);
    let all = daemon.ok(&["--json", "logs", "-n", "5000"]);
    assert_eq!(shown, all.lines().collect::<Vec<_>>());
}

#[test]
fn events_of_a_real_daemon_go_on_after_its_restart() {
    let daemon = TestDaemon::start(&notes(""));
    let mut command = ten(daemon.folder.path(), &["--data-dir", "data", "--json", "events", "-f"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    daemon.ok(&["spawn", "notes:alice"]);
    let is = |line: &String, instance: &str, to: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["instance"] == instance && event["to"] == to
    };
    let mut shown = Vec::new();
    let mut until = |instance: &str, to: &str| {
        while !shown.last().is_some_and(|line| is(line, instance, to)) {
            shown.push(lines.next().unwrap());
        }
    };
    until("notes:alice", "running");
    let daemon = TestDaemon::start_in(daemon.stop(), &[]);
    daemon.ok(&["spawn", "notes:bob"]);
    until("notes:bob", "running");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let all = daemon.ok(&["--json", "events", "-n", "1000"]);
    let all: Vec<&str> = all.lines().take(shown.len()).collect();
    assert_eq!(shown, all);
}
