//! What is said, and where: the next step, on one line, to people and to programs.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{
    stub::{Answer, Stub},
    terminal::{rest, terminal},
};
use crate::support::{NOTHING, TestDaemon, run, ten, text, until};

fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"))
}

// faults: L1 L6
#[test]
fn wrong_usage_is_told_in_whole_to_programs_too() {
    let folder = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let refused = run(folder.path(), &[&["--json"], arguments].concat());
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        object(&text(&refused.stderr))["message"].as_str().unwrap().to_owned()
    };
    assert!(said(&["spawn"]).contains("not provided: <INSTANCE>"));
    assert!(said(&["ps", "--status", "x"]).contains("[possible values: starting, running"));
    assert!(said(&["confg"]).contains("tip: a similar subcommand exists: 'config'"));
    assert!(said(&["top"]).contains("ten --json ps"));
    for wrong in [
        &["logs", "-n", "-1"][..],
        &["-v", "-q", "ps"],
        &["config", "--validate", "--service", "x"],
        &["--server", "http://127.0.0.1:99999", "ps"],
        &["token-gen", "--expires", "-1"],
    ] {
        assert!(!said(wrong).contains("-- -1"), "{wrong:?}");
    }
}

// faults: L6
#[test]
fn no_color_is_also_for_help_and_for_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["--no-color", "ps", "--help"][..], &["--no-color", "ps", "--bogus"]] {
        let (ours, theirs) = terminal();
        let side = || Stdio::from(theirs.try_clone().unwrap());
        let mut command = ten(folder.path(), arguments);
        command.env_remove("NO_COLOR").env("TERM", "xterm-256color").stdout(side()).stderr(side());
        let mut child = command.spawn().unwrap();
        drop((command, theirs));
        let all = rest(ours);
        assert!(all.contains("Usage:") && !all.contains('\x1b'), "{all:?}");
        child.wait().unwrap();
    }
}

#[test]
fn an_interrupt_says_what_goes_on_and_what_was_not_begun() {
    for json in [false, true] {
        // More at a time than a small machine would start.
        let settings = "[settings]\nmax_starting = 8\n";
        let silent = "[service.silent]\ncommand = 'sleep 1000'\nstartup_timeout = '1h'\n";
        let daemon = TestDaemon::start(&format!("{settings}{silent}"));
        for id in ["a", "b", "c"] {
            daemon.ok(&["spawn", &format!("silent:{id}"), "--no-wait"]);
        }
        until("all there", || daemon.processes().len() == 3);
        let mut command = ten(daemon.folder.path(), &["--data-dir", "data"]);
        command.args(if json { &["--json"][..] } else { &[] });
        command.args(["restart", "--wait", "silent:a", "silent:b", "silent:a", "silent:c"]);
        let before = daemon.processes();
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Its first one is under way when another process is there.
        until("restarting", || daemon.processes().iter().any(|one| !before.contains(one)));
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(130));
        let told = text(&ended.stderr);
        let words =
            "interrupted; the daemon goes on with silent:a; not begun: silent:b, silent:c: see 'ten ps'";
        match json {
            false => assert_eq!(told, format!("ten: {words}\n")),
            true => assert_eq!(object(&told)["message"], words),
        }
        daemon.ok(&["stop", "all", "--yes"]);
    }
}

// faults: I1
#[test]
fn a_start_that_takes_too_long_is_a_timeout() {
    let daemon = TestDaemon::start("[service.silent]\ncommand = 'sleep 1000'\nstartup_timeout = 0.2");
    let late = daemon.ten(&["--json", "spawn", "silent:a"]);
    let told = object(&text(&late.stderr));
    assert_eq!((late.status.code(), &told["status"], &told["exit_code"]), (Some(5), &json!(503), &json!(5)));
    daemon.ok(&["stop", "silent:a"]);
}

#[test]
fn failures_come_in_the_order_of_what_was_asked_for() {
    let daemon = TestDaemon::start(NOTHING);
    let failed = daemon.ten(&["stop", "x:b", "x:a", "x:b", "x:c"]);
    let told = text(&failed.stderr);
    let names: Vec<&str> = told.lines().map(|line| line.split('\'').nth(1).unwrap()).collect();
    assert_eq!((failed.status.code(), names), (Some(3), vec!["x:b", "x:a", "x:c"]), "{told}");
}

#[test]
fn a_refusal_says_the_next_step() {
    let refusal = |status: u16, word: &str, message: &str| {
        Answer::Json(status, json!({ "error": word, "message": message, "status": status }).to_string())
    };
    let stub = Stub::start(move |number, _| match number {
        1 => refusal(403, "forbidden", "This needs the scope 'write', which this token does not have"),
        2 => refusal(400, "bad_request", "grep: regex parse error:\n    (\n    ^\nerror: unclosed group"),
        3 => refusal(503, "service_unavailable", "tenement is shutting down"),
        _ => refusal(409, "conflict", "Instance 'api:a' is already starting"),
    });
    let scope = text(&stub.ten(&["stop", "api:a"]).stderr);
    assert!(
        scope.starts_with("ten: api:a: This needs") && scope.contains("ten token-gen --scope write"),
        "{scope}"
    );
    let grep = text(&stub.ten(&["logs", "--grep", "("]).stderr);
    assert_eq!(
        grep,
        "ten: --grep: that is no regular expression: unclosed group; for plain text use --search\n"
    );
    assert!(text(&stub.ten(&["restart", "api:a"]).stderr).contains("ten serve"));
    assert!(text(&stub.ten(&["spawn", "api:a"]).stderr).contains("wait for it"));
    assert!(text(&stub.ten(&["spawn", "api:a", "--env", "X"]).stderr).contains("--env PLAN=pro"));
}

// faults: L7
#[test]
fn a_token_that_opens_nothing_is_named_by_where_it_is_from() {
    let daemon = TestDaemon::start(NOTHING);
    let data = daemon.folder.path().join("data");
    let url = format!("http://127.0.0.1:{}", daemon.port);
    let command = |token: &str| -> Command {
        let mut command = ten(daemon.folder.path(), &["--data-dir", "data", "--server", &url, "tokens"]);
        command.env("TENEMENT_TOKEN", token);
        command
    };
    let refused = command("tenement_old").output().unwrap();
    let told = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(6));
    assert!(told.contains("TENEMENT_TOKEN") && told.contains("expired or revoked"), "{told}");
    fs::remove_file(data.join("api_token")).unwrap();
    let path = data.join("api_token");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let fifo = command("").output().unwrap();
    let told = text(&fifo.stderr);
    assert_eq!(fifo.status.code(), Some(2));
    assert!(told.contains("api_token") && told.contains("not a regular file"), "{told}");
    fs::remove_file(path).unwrap();
}

// faults: L2
#[test]
fn who_follows_with_a_token_that_is_revoked_is_told_so() {
    let daemon = TestDaemon::start(NOTHING);
    let made = object(&daemon.ok(&["--json", "token-gen", "--scope", "read"]));
    let url = format!("http://127.0.0.1:{}", daemon.port);
    let mut command =
        ten(daemon.folder.path(), &["--data-dir", "data", "-v", "--server", &url, "events", "-f"]);
    command.env("TENEMENT_TOKEN", made["token"].as_str().unwrap());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut begun = String::new();
    stderr.read_line(&mut begun).unwrap();
    assert!(begun.contains("200"), "{begun}");
    daemon.ok(&["token-revoke", made["id"].as_str().unwrap()]);
    let mut told = String::new();
    stderr.read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6), "{told}");
    assert!(told.contains("expired or revoked") && !told.contains("waiting for the daemon"), "{told}");
}

#[test]
fn what_is_set_to_nothing_is_not_set() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tenement.toml"), NOTHING).unwrap();
    let mut command = ten(folder.path(), &["config", "--data-dir", "there"]);
    let shown = command.env("TENEMENT_CONFIG", "").env("HOME", "").output().unwrap();
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let dir = object(&text(&shown.stdout))["settings"]["data_dir"].as_str().unwrap().to_owned();
    assert!(dir.starts_with('/') && dir.ends_with("/there"), "{dir}");
}

#[test]
fn a_configuration_that_is_refused_is_one_object_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.toml"), "[service.api]\nhelth = '/'\n[settings]\nmax_restarts = 'x'\n")
        .unwrap();
    let refused = run(folder.path(), &["--json", "--config", "bad.toml", "serve", "--data-dir", "data"]);
    let told: Vec<Value> = text(&refused.stderr).lines().map(object).collect();
    let [warning, error] = &told[..] else { panic!("{told:?}") };
    assert!(warning["warning"].as_str().unwrap().contains("did you mean 'health'"), "{told:?}");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("bad.toml:1:10: error") && message.contains("bad.toml:4:16: error"),
        "{message}"
    );
    assert_eq!((error["exit_code"].as_u64(), refused.status.code()), (Some(2), Some(2)));
}

#[test]
fn init_says_what_it_made_and_where() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("go.mod"), "module example.com/shop\n").unwrap();
    let made = run(folder.path(), &["--json", "--config", "other.toml", "init", "--name", "shop"]);
    let expected = json!({ "file": "other.toml", "service": "shop", "command": "./shop" });
    assert_eq!(object(&text(&made.stdout)), expected);
    let file = fs::read_to_string(folder.path().join("other.toml")).unwrap();
    assert!(file.contains("# The command is a guess, from go.mod.\ncommand = \"./shop\""), "{file}");
    fs::write(folder.path().join("manage.py"), "").unwrap();
    let django = run(folder.path(), &["init"]);
    assert!(django.status.success(), "{}", text(&django.stderr));
    assert!(run(folder.path(), &["config", "--validate"]).status.success());
}

#[test]
fn a_watch_for_programs_has_one_document_on_each_line() {
    let stub = Stub::start(|number, _| match number {
        1..3 => Answer::Json(200, json!({ "instances": [] }).to_string()),
        _ => {
            Answer::Json(500, json!({ "error": "internal_error", "message": "m", "status": 500 }).to_string())
        }
    });
    let watched = stub.ten(&["--json", "ps", "-w"]);
    let lines: Vec<Value> = text(&watched.stdout).lines().map(object).collect();
    assert_eq!(lines, [json!({ "instances": [] }), json!({ "instances": [] })]);
}

// faults: L3
#[test]
fn what_goes_on_ends_where_there_is_no_output() {
    let stub = Stub::start(|_, _| Answer::Open(String::new()));
    for arguments in ["logs -f", "events -f", "ps -w"] {
        let listing = Stub::start(|_, _| Answer::Json(200, json!({ "instances": [] }).to_string()));
        let stub = if arguments == "ps -w" { &listing } else { &stub };
        let line = format!("exec '{}' --data-dir data {arguments} >&-", env!("CARGO_BIN_EXE_ten"));
        let mut command = Command::new("sh");
        let ended = command.args(["-c", &line]).current_dir(stub.folder.path()).output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{arguments}: {}", text(&ended.stderr));
    }
}
