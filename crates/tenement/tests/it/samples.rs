//! What an instance used and served, over time.

use serde_json::Value;

use crate::support::{TestDaemon, notes, until};

/// The columns of an instance's history over the last hour.
fn history(daemon: &TestDaemon, id: &str) -> Value {
    serde_json::from_str(&daemon.ask_local(&format!("/api/metrics/notes/{id}/history?range=1h"))).unwrap()
}

/// Intervals that something is known of: when they began, and what one column says.
fn known(history: &Value, column: &str) -> Vec<(u64, f64)> {
    let times = history["times"].as_array().unwrap();
    let values = history[column].as_array().unwrap();
    assert_eq!(times.len(), values.len());
    let both = times.iter().zip(values);
    both.filter_map(|(at, value)| Some((at.as_u64().unwrap(), value.as_f64()?))).collect()
}

fn measured(daemon: &TestDaemon, id: &str) -> Vec<(u64, f64)> {
    known(&history(daemon, id), "memory_mb")
}

// faults: D1 S11
#[test]
fn samples_of_what_runs_outlive_the_daemon_and_nothing_is_left_of_what_was_purged() {
    let daemon = TestDaemon::start(&notes(""));
    let file = daemon.folder.path().join("data/samples/notes/alice");
    daemon.ok(&["spawn", "notes:alice"]);
    for _ in 0..5 {
        assert!(daemon.get("alice.notes.localhost", "/").starts_with("HTTP/1.1 200 "));
    }
    until("measured", || !measured(&daemon, "alice").is_empty());
    let before = measured(&daemon, "alice");
    assert!(before[0].1 > 0.5, "{before:?}");
    until("counted", || {
        let rates = known(&history(&daemon, "alice"), "requests_per_second");
        rates.iter().any(|&(_, rate)| rate > 0.0)
    });
    assert!(!known(&history(&daemon, "alice"), "latency_p95_ms").is_empty());
    let daemon = TestDaemon::start_in(daemon.kill_alone(), &[]);
    let has = |daemon: &TestDaemon, at: u64| measured(daemon, "alice").iter().any(|&(found, _)| found == at);
    assert!(has(&daemon, before[0].0), "after a kill");
    daemon.ok(&["upgrade"]);
    assert!(has(&daemon, before[0].0), "after an upgrade");
    let last = measured(&daemon, "alice").last().unwrap().0;
    until("measured by the one that follows", || measured(&daemon, "alice").last().unwrap().0 > last);
    assert!(file.exists());
    daemon.ok(&["stop", "notes:alice", "--purge"]);
    assert!(!file.exists());
    daemon.ok(&["spawn", "notes:alice"]);
    assert!(!has(&daemon, before[0].0), "the next one of its name begins with nothing");
}

#[test]
fn sleep_is_a_gap_and_what_is_forgotten_has_no_file() {
    let daemon = TestDaemon::start(&notes("idle_timeout = '100ms'"));
    daemon.ok(&["spawn", "notes:alice"]);
    until("asleep", || daemon.status("notes:alice") == "sleeping");
    assert!(daemon.get("alice.notes.localhost", "/").starts_with("HTTP/1.1 200 "));
    // One request is seen, though nobody looked while it was awake.
    let rates = || known(&history(&daemon, "alice"), "requests_per_second");
    until("counted", || rates().iter().any(|&(_, rate)| rate > 0.0));
    until("asleep again", || daemon.status("notes:alice") == "sleeping");
    // It may have been awake at the end of an interval, and so in the next one too.
    until("in a gap", || {
        let all = history(&daemon, "alice");
        let last = known(&all, "requests_per_second").last().unwrap().0;
        all["times"].as_array().unwrap().last().unwrap().as_u64().unwrap() > last + 10_000
    });
    let all = history(&daemon, "alice");
    let (times, awake) = (all["times"].as_array().unwrap(), rates());
    assert!(times.len() == 360 && awake.len() < 5, "{awake:?}");
    let file = daemon.folder.path().join("data/samples/notes/alice");
    assert!(file.exists());
    daemon.ok(&["stop", "notes:alice"]);
    assert!(!file.exists());
    let gone = daemon.ask_local("/api/metrics/notes/alice/history");
    assert!(gone.contains("instance_not_found"), "{gone}");
}
