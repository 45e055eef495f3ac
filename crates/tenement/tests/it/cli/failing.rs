//! What can be wrong between `ten` and a daemon.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, Output},
    thread,
};

use serde_json::Value;

use crate::support::{NOTHING, TestDaemon, notes, run, ten, text};

/// Every line of standard error as JSON.
fn objects(output: &Output) -> Vec<Value> {
    let stderr = text(&output.stderr);
    stderr.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

/// `ten` against a server that answers every connection with these bytes.
fn against(answer: &'static str, arguments: &[&str]) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let mut all = vec!["--server", &server];
    all.extend(arguments);
    run(folder.path(), &all)
}

// faults: L2
#[test]
fn what_is_no_tenement_or_another_version_is_told() {
    let html = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n<p>x";
    for (answer, why) in [
        (html, "is no tenement"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "is no tenement"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", "is no tenement"),
        ("", "broke off before the answer came"),
    ] {
        let refused = against(answer, &["ps"]);
        let line = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(7), "{answer}");
        assert!(line.contains(why) && line.lines().count() == 1, "{line}");
    }
    let old = "HTTP/1.1 200 OK\r\nContent-Length: 19\r\nConnection: close\r\n\r\n{\"version\":\"0.0.1\"}";
    let told = against(old, &["status"]);
    assert_eq!(told.status.code(), Some(0));
    assert!(text(&told.stderr).contains("the daemon is 0.0.1"), "{}", text(&told.stderr));
}

// faults: L2
#[test]
fn a_server_that_never_answers_does_not_keep_anybody() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", silent.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let late = run(folder.path(), &["--server", &server, "spawn", "api:a", "--timeout", "0.05"]);
    assert_eq!(late.status.code(), Some(5));
    let told = "ten: Instance 'api:a' was not ready within 0.05 s; the daemon goes on: see 'ten ps'\n";
    assert_eq!(text(&late.stderr), told);
}

// faults: L2
#[test]
fn a_socket_of_somebody_else_is_told_with_its_owner() {
    let daemon = TestDaemon::start(NOTHING);
    let data = daemon.folder.path().join("data");
    let as_root = rustix::process::geteuid().is_root();
    let outside = tempfile::tempdir().unwrap();
    let program = outside.path().join("ten");
    fs::copy(env!("CARGO_BIN_EXE_ten"), &program).unwrap();
    fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    command.arg("--data-dir").arg(&data).arg("ps").current_dir(outside.path()).env_remove("TENEMENT_SERVER");
    if as_root {
        command.uid(65534).gid(65534);
    } else {
        fs::set_permissions(data.join("admin.sock"), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let refused = command.output().unwrap();
    let line = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(6), "{line}");
    let owner = format!("which is uid {}'s", rustix::process::geteuid().as_raw());
    assert!(line.contains("admin.sock") && line.contains(&owner) && line.lines().count() == 1, "{line}");
}

// faults: L2
#[test]
fn a_wrong_configuration_never_leads_to_another_daemon() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tenement.toml"), "[service.api]\n").unwrap();
    let refused = run(folder.path(), &["ps"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("ten config --validate"), "{}", text(&refused.stderr));
    assert_eq!(run(folder.path(), &["--config", "missing.toml", "ps"]).status.code(), Some(2));
    assert_eq!(run(folder.path(), &["--data-dir", "data", "ps"]).status.code(), Some(7));
    assert_eq!(run(folder.path(), &["--server", "https://example.com", "ps"]).status.code(), Some(2));
}

// faults: L6
#[test]
fn with_json_every_line_of_an_error_is_an_object() {
    let daemon = TestDaemon::start(&notes("[service.missing]\ncommand = '/nowhere/app'"));
    let failed = |arguments: &[&str]| daemon.ten(&[&["--json"], arguments].concat());
    let missing = &objects(&failed(&["spawn", "missing:a"]))[0];
    let words = (&missing["error"], &missing["status"], &missing["exit_code"]);
    assert_eq!(words, (&"service_unavailable".into(), &503.into(), &127.into()));
    let usage = failed(&["ps", "--bogus"]);
    assert_eq!((usage.status.code(), objects(&usage)[0]["error"].as_str()), (Some(2), Some("usage")));
    let several = failed(&["restart", "notes:a", "notes:b"]);
    assert_eq!((several.status.code(), objects(&several).len()), (Some(3), 2));
    assert_eq!(serde_json::from_slice::<Value>(&several.stdout).unwrap(), Value::Array(Vec::new()));
    let warned = failed(&["--token", "x", "health", "notes:none"]);
    assert!(objects(&warned)[0]["warning"].is_string());
    assert_eq!(objects(&warned)[1]["exit_code"], 3);
}

// faults: L7
#[test]
fn a_token_among_the_arguments_is_warned_of_and_one_in_the_environment_is_not() {
    let daemon = TestDaemon::start(NOTHING);
    let by_argument = daemon.ten(&["ps", "--token=secret"]);
    assert_eq!(by_argument.status.code(), Some(0));
    assert!(text(&by_argument.stderr).contains("TENEMENT_TOKEN"));
    assert!(!text(&by_argument.stderr).contains("secret"));
    let mut command = ten(daemon.folder.path(), &["--data-dir", "data", "ps"]);
    assert_eq!(text(&command.env("TENEMENT_TOKEN", "secret").output().unwrap().stderr), "");
}

// faults: L3
#[test]
fn answers_that_cannot_be_written_are_failures_and_those_nobody_reads_are_none() {
    let daemon = TestDaemon::start(NOTHING);
    for arguments in [
        &["ps"][..],
        &["status"],
        &["--json", "ps"],
        &["token-gen"],
        &["metrics"],
        &["completions", "zsh"],
        &["man"],
        &["ps", "--help"],
    ] {
        let command = || {
            let mut command = ten(daemon.folder.path(), &["--data-dir", "data"]);
            command.args(arguments);
            command
        };
        let full = File::options().write(true).open("/dev/full").unwrap();
        let failed = command().stdout(full).output().unwrap();
        assert_eq!(failed.status.code(), Some(1), "{arguments:?}");
        assert!(text(&failed.stderr).contains("can't write"), "{arguments:?}");
        if arguments == ["token-gen"] {
            // Its only copy would be lost.
            continue;
        }
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let unread = command().stdout(writer).output().unwrap();
        assert_eq!((unread.status.code(), text(&unread.stderr)), (Some(0), String::new()), "{arguments:?}");
        // Nobody to tell either.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let deaf = command().arg("--token=x").stderr(writer).output().unwrap();
        assert_eq!(deaf.status.code(), Some(0), "{arguments:?}");
    }
}
