//! Answers that are not tenement's, or another tenement's.

use std::{fs, fs::File};

use serde_json::json;

use super::stub::{Answer, Stub};
use crate::support::{NOTHING, TestDaemon, text};

// faults: L2
#[test]
fn whatever_answers_otherwise_than_tenement_is_no_success() {
    for body in
        ["[]", "{}", "null", r#"{"logs":[5],"instances":[[]],"tokens":[{}],"events":[""]}"#, "<html>hi"]
    {
        let stub = Stub::start(move |_, ask| match ask.head.contains("ndjson") {
            true => Answer::Cut(format!("{body}\n")),
            false if body.starts_with('<') => Answer::Plain(body.to_owned()),
            false => Answer::Json(200, body.to_owned()),
        });
        let saved = stub.folder.path().join("data/api_token");
        fs::write(&saved, "tenement_good\n").unwrap();
        for arguments in [
            &["ps"][..],
            &["tokens"],
            &["logs"],
            &["logs", "-f"],
            &["events"],
            &["events", "-f"],
            &["metrics"],
            &["metrics", "--format", "json"],
            &["status"],
            &["health", "api:a"],
            &["spawn", "api:a"],
            &["stop", "api:a"],
            &["restart", "api:a"],
            &["token-gen"],
            &["token-gen", "--save"],
            &["token-revoke", "abc"],
        ] {
            // It has no body at all when it is good.
            if arguments[0] == "token-revoke" && body == "null" {
                continue;
            }
            let refused = stub.ten(arguments);
            let line = text(&refused.stderr);
            assert_eq!(
                (refused.status.code(), text(&refused.stdout)),
                (Some(7), String::new()),
                "{arguments:?} {line}"
            );
            assert!(line.contains("check --server") && line.lines().count() == 1, "{arguments:?} {line}");
        }
        assert_eq!(fs::read_to_string(&saved).unwrap(), "tenement_good\n");
    }
}

#[test]
fn a_daemon_of_another_version_is_warned_of_once_and_obeyed() {
    let instances = || json!({ "instances": [] }).to_string();
    let stub = Stub::start(move |_, _| Answer::With("Tenement-Version: 9.1.0", instances()));
    let told = text(&stub.ten(&["ps"]).stderr);
    let begin = format!("ten: the daemon is 9.1.0 and this ten {}: install", env!("CARGO_PKG_VERSION"));
    assert!(told.starts_with(&begin) && told.lines().count() == 1, "{told}");
    assert_eq!(text(&stub.ten(&["-q", "ps"]).stderr), "");
    let daemon = TestDaemon::start(NOTHING);
    assert_eq!(text(&daemon.ten(&["ps"]).stderr), "");
    let head = daemon.get("localhost", "/api/status");
    assert!(head.contains(&format!("tenement-version: {}", env!("CARGO_PKG_VERSION"))), "{head}");
}

// faults: L3
#[test]
fn a_token_that_nobody_gets_is_revoked() {
    let daemon = TestDaemon::start(NOTHING);
    let known = || daemon.ok(&["tokens", "--no-header"]).lines().count();
    let before = known();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let command = |arguments: &[&str]| {
        let mut command = crate::support::ten(daemon.folder.path(), &["--data-dir", "data"]);
        command.args(arguments);
        command
    };
    let failed = command(&["token-gen"]).stdout(full).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("the token was revoked again"), "{}", text(&failed.stderr));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(command(&["token-gen"]).stdout(writer).output().unwrap().status.code(), Some(1));
    let data = daemon.folder.path().join("data");
    fs::remove_file(data.join("api_token")).unwrap();
    fs::create_dir(data.join("api_token")).unwrap();
    let refused = daemon.ten(&["token-gen", "--save"]);
    assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(1), String::new()));
    assert!(text(&refused.stderr).contains("so none was made"), "{}", text(&refused.stderr));
    fs::remove_dir(data.join("api_token")).unwrap();
    fs::create_dir(data.join("api_token.saving")).unwrap();
    let refused = daemon.ten(&["token-gen", "--save"]);
    assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(1), String::new()));
    assert!(text(&refused.stderr).contains("the token was revoked again"), "{}", text(&refused.stderr));
    assert_eq!(known(), before);
}
