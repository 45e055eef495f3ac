//! What `/metrics` says of a daemon with real instances.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    process::{Command, Stdio},
};

use crate::support::{TestDaemon, notes, text, until};

const ALICE: &str = "alice.notes.localhost";

impl TestDaemon {
    /// The metrics, asked for with further fields.
    fn metrics(&self, fields: &str) -> String {
        let mut stream = self.connect();
        let head = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn with_token(&self) -> String {
        let token = std::fs::read_to_string(self.folder.path().join("data/api_token")).unwrap();
        format!("Authorization: Bearer {}\r\n", token.trim())
    }

    /// A figure of the metrics without a token, by its whole series.
    fn figure(&self, series: &str) -> f64 {
        let metrics = self.metrics("");
        let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {series} in {metrics}")).parse().unwrap()
    }
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[track_caller]
fn checked_by_promtool(metrics: &str) {
    let mut checker = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of Debian's package prometheus");
    checker.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let found = checker.wait_with_output().unwrap();
    let said = format!("{}{}", text(&found.stdout), text(&found.stderr));
    assert!(found.status.success() && said.is_empty(), "{said}");
}

/// What OpenMetrics asks for beyond the text format: families in one piece and with names of their own, counters with
/// their suffix, an end.
#[track_caller]
fn is_open_metrics(metrics: &str) {
    assert!(metrics.ends_with("\n# EOF\n") && metrics.matches("# EOF").count() == 1);
    let mut families = BTreeSet::new();
    let (mut name, mut kind) = (String::new(), String::new());
    for line in metrics.lines().filter(|line| *line != "# EOF") {
        if let Some(family) = line.strip_prefix("# HELP ") {
            family.split(' ').next().unwrap().clone_into(&mut name);
            assert!(families.insert(name.clone()), "{name} is there twice");
        } else if let Some(family) = line.strip_prefix("# TYPE ") {
            let (of, found) = family.split_once(' ').unwrap();
            assert_eq!(of, name);
            found.clone_into(&mut kind);
        } else {
            let sample = line.split(['{', ' ']).next().unwrap();
            let suffixes: &[&str] = match kind.as_str() {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(suffixes.iter().any(|suffix| *sample == format!("{name}{suffix}")), "{line}");
        }
    }
}

// faults: A17
#[test]
fn metrics_are_what_prometheus_takes() {
    let daemon = TestDaemon::start(&notes("health = '/health'\n[instances]\nnotes = ['alice']"));
    assert!(daemon.get(ALICE, "/").starts_with("HTTP/1.1 200 "));
    let token = daemon.with_token();
    for fields in ["", token.as_str()] {
        let answer = daemon.metrics(fields);
        assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
        checked_by_promtool(body(&answer));
        assert_eq!(answer.contains("instance=\"notes:alice\""), !fields.is_empty());
        let accept =
            format!("{fields}Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n");
        let answer = daemon.metrics(&accept);
        assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"), "{answer}");
        is_open_metrics(body(&answer));
    }
    for own in ["process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"] {
        assert!(daemon.figure(own) > 1.0, "{own}");
    }
}

#[test]
fn a_wake_is_timed_by_stage_and_an_end_has_its_cause() {
    let daemon = TestDaemon::start(&notes("idle_timeout = '100ms'"));
    daemon.ok(&["spawn", "notes:alice"]);
    let idle = || daemon.figure(r#"tenement_exits_total{service="notes",cause="idle"}"#);
    until("asleep", || daemon.status("notes:alice") == "sleeping");
    until("counted", || idle() == 1.0);
    let stage = |stage: &str| {
        let of = |suffix: &str| {
            let series =
                format!(r#"tenement_wake_duration_seconds_{suffix}{{service="notes",stage="{stage}"}}"#);
            daemon.figure(&series)
        };
        (of("count"), of("sum"))
    };
    assert_eq!(["queue", "spawn", "ready", "first_byte"].map(|name| stage(name).0), [0.0; 4], "not a wake");
    assert!(daemon.get(ALICE, "/").starts_with("HTTP/1.1 200 "));
    let found = ["queue", "spawn", "ready", "first_byte"].map(stage);
    assert_eq!(found.map(|(count, _)| count), [1.0; 4]);
    let before: f64 = found[..3].iter().map(|(_, sum)| sum).sum();
    assert!(found[3].1 >= before && before > 0.0, "{found:?}");
    until("asleep again", || daemon.status("notes:alice") == "sleeping");
    until("counted again", || idle() == 2.0);
}

#[test]
fn a_service_keeps_what_a_forgotten_instance_had_counted() {
    let daemon = TestDaemon::start(&notes("restart = 'never'"));
    daemon.ok(&["spawn", "notes:alice"]);
    assert!(daemon.get(ALICE, "/").starts_with("HTTP/1.1 200 "));
    let token = daemon.with_token();
    assert!(daemon.metrics(&token).contains("instance=\"notes:alice\""));
    daemon.ok(&["stop", "notes:alice"]);
    assert_eq!(daemon.figure(r#"tenement_requests_total{service="notes",class="2xx"}"#), 1.0);
    assert_eq!(daemon.figure(r#"tenement_exits_total{service="notes",cause="stop"}"#), 1.0);
    assert!(!daemon.metrics(&token).contains("instance=\"notes:alice\""));
    daemon.ok(&["spawn", "notes:alice"]);
    let [pid] = daemon.processes()[..] else { panic!("one process") };
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    let killed = |cause| format!(r#"tenement_exits_total{{service="notes",cause="{cause}"}}"#);
    until("gone", || daemon.figure(&killed("signal")) + daemon.figure(&killed("oom")) == 1.0);
    assert!(daemon.get(ALICE, "/").starts_with("HTTP/1.1 200 "), "woken");
    assert_eq!(daemon.figure(r#"tenement_requests_total{service="notes",class="2xx"}"#), 2.0);
}
