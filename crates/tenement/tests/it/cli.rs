//! The command line itself: its files, its output, its failures.
#![allow(clippy::disallowed_methods, reason = "tests start processes and write files")]

mod failing;
mod following;
mod going_on;
mod help;
mod metrics;
mod strange;
mod stub;
mod terminal;
mod tokens;
mod top;
mod waiting;
mod wording;

use std::{
    fs::{self, File},
    process::Stdio,
};

use crate::support::{NOTHING, run, ten, text};

#[test]
fn init_writes_a_valid_file_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("main.py"), "").unwrap();
    let written = run(folder.path(), &["init", "--name", "notes"]);
    assert!(written.status.success(), "{}", text(&written.stderr));
    let file = fs::read_to_string(folder.path().join("tenement.toml")).unwrap();
    assert!(file.contains("command = \"python3 main.py\""), "{file}");
    assert!(run(folder.path(), &["config", "--validate"]).status.success());
    let again = run(folder.path(), &["init"]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(fs::read_to_string(folder.path().join("tenement.toml")).unwrap(), file);
}

#[test]
fn init_writes_nothing_that_would_be_refused() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    for (arguments, why) in [
        (["--command", ""], "command is empty"),
        (["--command", "run 'x"], "a quote that is not closed"),
        (["--command", "run {nam}"], "unknown placeholder {nam}"),
        (["--name", "logs"], "can't be called 'logs'"),
        (["--name", "a.b"], "is not a service name"),
    ] {
        let refused = run(&logs, &[&["init"], &arguments[..]].concat());
        let line = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(line.contains(why) && line.lines().count() == 1, "{line}");
        assert!(!logs.join("tenement.toml").exists());
    }
    assert!(run(&logs, &["init"]).status.success());
    assert!(run(&logs, &["config", "--validate"]).status.success(), "called otherwise than its folder");
}

#[test]
fn config_shows_what_is_in_force_and_hides_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = "[service.api]\ncommand = './api'\n[service.api.env]\nAPI_TOKEN = 'hush'\n";
    fs::write(folder.path().join("tenement.toml"), file).unwrap();
    let shown = text(&run(folder.path(), &["config", "--service", "api"]).stdout);
    assert!(shown.contains("\"request_timeout\": 30") && !shown.contains("hush"), "{shown}");
}

// faults: C2 C3
#[test]
fn validate_shows_every_finding_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.toml"), "[service.api]\nhelth = '/'\n[settings]\nmax_restarts = 'x'\n")
        .unwrap();
    let found = run(folder.path(), &["config", "--validate", "bad.toml"]);
    let shown = text(&found.stdout);
    assert_eq!(found.status.code(), Some(2));
    for expected in
        ["bad.toml:1:10: error", "bad.toml:2:1: warning", "did you mean 'health'", "bad.toml:4:16: error"]
    {
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
    let json = run(folder.path(), &["--json", "config", "--validate", "bad.toml"]);
    let body: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&body["valid"], body["errors"].as_array().unwrap().len()), (&false.into(), 2));
}

#[test]
fn validate_and_serve_refuse_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = "[service.api]\ncommand = './api'\nisolation = 'sandbox'\n";
    fs::write(folder.path().join("tenement.toml"), file).unwrap();
    let place = "tenement.toml:3:13: error: [service.api] isolation is not enforced by this version";
    let validated = run(folder.path(), &["config", "--validate"]);
    let served = run(folder.path(), &["serve", "--data-dir", "data"]);
    for (refused, shown) in [(&validated, text(&validated.stdout)), (&served, text(&served.stderr))] {
        assert_eq!(refused.status.code(), Some(2));
        assert!(shown.contains(place), "{shown}");
    }
    let json = run(folder.path(), &["--json", "config", "--validate"]);
    let body: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&body["valid"], json.status.code()), (&false.into(), Some(2)));
    assert!(
        body["errors"][0].as_str().unwrap().starts_with("3:13: error: [service.api] isolation"),
        "{body}"
    );
}

// faults: C1
#[test]
fn what_is_no_configuration_is_named_and_nothing_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("empty"), "# nothing yet\n").unwrap();
    fs::create_dir(path("folder")).unwrap();
    File::create(path("large")).unwrap().set_len(1 << 30).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for arguments in [&["config", "empty"][..], &["--config", "empty", "serve", "--data-dir", "data"]] {
        assert_eq!(run(folder.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
    let served = run(folder.path(), &["--config", "empty", "serve", "--data-dir", "data"]);
    let said = text(&served.stderr);
    assert!(
        said.contains("empty:1:1: error: nothing stands in this file") && said.contains("'ten init'"),
        "{said}"
    );
    assert!(said.ends_with("ten: empty has an error: nothing was started\n"), "{said}");
    assert!(!path("data").exists());
    for (name, why) in [
        ("missing", "No such file"),
        ("folder", "not a regular file"),
        ("large", "1 MiB"),
        ("fifo", "not a regular file"),
    ] {
        let refused = run(folder.path(), &["config", name]);
        let line = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{name}");
        assert!(line.contains(name) && line.contains(why) && line.lines().count() == 1, "{line}");
    }
}

// faults: L1
#[test]
fn usage_goes_to_standard_error_and_help_to_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = run(folder.path(), &["confg"]);
    assert_eq!((wrong.status.code(), wrong.stdout.len()), (Some(2), 0));
    assert!(text(&wrong.stderr).contains("config"), "{}", text(&wrong.stderr));
    let help = run(folder.path(), &["config", "--help"]);
    assert!(help.status.success() && text(&help.stdout).contains("Examples:"));
}

// faults: L3
#[test]
fn a_closed_pipe_is_no_failure_and_a_full_disk_is_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tenement.toml"), NOTHING).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let closed = ten(folder.path(), &["config"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((closed.status.code(), text(&closed.stderr)), (Some(0), String::new()));
    let full = File::options().write(true).open("/dev/full").unwrap();
    let failed = ten(folder.path(), &["config"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("can't write"));
}
