//! `ten metrics`.

use std::{io::Read, process::Stdio};

use serde_json::{Value, json};

use super::{
    stub::{Answer, Stub},
    terminal::{rest, terminal},
};
use crate::support::{NOTHING, TestDaemon, notes, text};

const TEXT: &str = "# HELP tenement_up Up\n# TYPE tenement_up gauge\ntenement_up 1\n\
    # HELP r R\n# TYPE r counter\nr{service=\"notes\",instance=\"a\"} 3\nr{service=\"notes\",instance=\"b\"} 4\n";

fn stub() -> Stub {
    Stub::start(|_, ask| {
        let one = json!({
            "instance": "notes:a", "uptime_seconds": 125.456, "memory_mb": 120.5, "cpu_percent": 12.3,
            "requests_total": 1523, "requests_per_second": 12.2, "errors_total": 2, "error_rate": 0.13,
            "health_checks": { "total": 12, "passed": 12, "failed": 0 }
        });
        match ask.line.as_str() {
            "GET /metrics" => Answer::Plain(TEXT.into()),
            "GET /api/metrics" => Answer::Json(200, json!({ "instances": [one] }).to_string()),
            "GET /api/metrics/notes/a" => Answer::Json(200, one.to_string()),
            _ => {
                let message = "Instance 'notes:none' not found";
                let refusal = json!({ "error": "instance_not_found", "message": message, "status": 404 });
                Answer::Json(404, refusal.to_string())
            }
        }
    })
}

#[test]
fn metrics_come_in_three_forms() {
    let stub = stub();
    let table = stub.ok(&["metrics", "--format", "table"]);
    assert_eq!(
        table,
        "INSTANCE  UPTIME  MEMORY  CPU    REQUESTS  REQ/S  ERRORS  ERROR%  CHECKS\n\
         notes:a   2m 5s   120.5M  12.3%  1523      12.2   2       0.13    12/12\n"
    );
    assert_eq!(stub.ok(&["metrics", "notes:a", "--format", "table"]), table);
    assert_eq!(stub.ok(&["metrics"]), TEXT, "into a pipe");
    let all: Value = serde_json::from_str(&stub.ok(&["metrics", "--format", "json"])).unwrap();
    let one: Value = serde_json::from_str(&stub.ok(&["--json", "metrics", "notes", "--id", "a"])).unwrap();
    assert_eq!((&all["instances"][0], &one["error_rate"]), (&one, &json!(0.13)));
    let series = stub.ok(&["metrics", "notes:a", "--format", "prometheus"]);
    assert_eq!(series, "# HELP r R\n# TYPE r counter\nr{service=\"notes\",instance=\"a\"} 3\n");
    for format in ["table", "json", "prometheus"] {
        assert_eq!(
            stub.ten(&["metrics", "notes:none", "--format", format]).status.code(),
            Some(3),
            "{format}"
        );
    }
    assert_eq!(stub.ten(&["metrics", "--format", "csv"]).status.code(), Some(2));
}

#[test]
fn people_at_a_terminal_get_a_table() {
    let (ours, theirs) = terminal();
    let stub = stub();
    let mut command = stub.command(&["metrics"]);
    let mut child = command.stdout(theirs).env_remove("COLUMNS").env("TERM", "xterm").spawn().unwrap();
    drop(command);
    assert!(rest(ours).starts_with("INSTANCE  UPTIME"));
    assert!(child.wait().unwrap().success());
}

// faults: L6
#[test]
fn a_watch_into_a_pipe_has_no_escapes_and_ends_with_its_reader() {
    let stub = stub();
    let mut child =
        stub.command(&["metrics", "-w"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 8];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"INSTANCE");
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), text(&ended.stderr)), (Some(0), String::new()));
}

#[test]
fn the_daemon_s_own_text_is_shown_as_it_is() {
    let daemon = TestDaemon::start(NOTHING);
    assert!(daemon.ok(&["metrics"]).starts_with("# HELP tenement_"));
}

#[test]
fn the_daemon_counts_what_an_instance_served() {
    let daemon = TestDaemon::start(&notes("[instances]\nnotes = ['alice']"));
    assert!(daemon.get("alice.notes.localhost", "/").starts_with("HTTP/1.1 200"));
    let table = daemon.ok(&["metrics", "notes:alice", "--format", "table"]);
    let cells: Vec<_> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((cells[0], cells[4], cells[6]), ("notes:alice", "1", "0"), "{table}");
    let all: Value = serde_json::from_str(&daemon.ok(&["metrics", "--format", "json"])).unwrap();
    assert_eq!(all["instances"][0]["requests_total"], 1);
    let series = daemon.ok(&["metrics", "notes:alice", "--format", "prometheus"]);
    let samples = series.lines().filter(|line| !line.starts_with('#'));
    assert!(
        samples.clone().count() > 0 && samples.into_iter().all(|line| line.contains("alice")),
        "{series}"
    );
    assert_eq!(daemon.ten(&["metrics", "notes:bob"]).status.code(), Some(3));
}
