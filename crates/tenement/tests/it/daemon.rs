//! The daemon under what its surroundings do to it.

use std::{
    fs,
    io::{ErrorKind, Write, pipe},
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    process::Command,
};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::Signal,
};

use tenement_core::layout;

use crate::support::{PATIENCE, TestDaemon, notes, ten, text, until};

const ALICE: &str = "alice.notes.localhost";

fn works(daemon: &TestDaemon) {
    let answer = daemon.get(ALICE, "/");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

fn with_alice(settings: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = notes("[instances]\nnotes = ['alice']").replacen("[settings]", settings, 1);
    fs::write(folder.path().join("tenement.toml"), config).unwrap();
    folder
}

// faults: D14
#[test]
fn a_standard_error_whose_reader_is_gone_changes_nothing() {
    let (reader, writer) = pipe().unwrap();
    let daemon = TestDaemon::start_as(with_alice("[settings]"), &[], |command| {
        command.stderr(writer);
    });
    drop(reader);
    daemon.ok(&["restart", "notes:alice", "--wait"]);
    works(&daemon);
}

// faults: D14
#[test]
fn a_standard_error_that_takes_nothing_changes_nothing() {
    let (_reader, mut writer) = pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    let full = loop {
        if let Err(error) = writer.write(&[b'-'; 4096]) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    fcntl_setfl(&writer, flags).unwrap();
    let daemon = TestDaemon::start_as(with_alice("[settings]"), &[], |command| {
        command.stderr(writer).env("RUST_LOG", "trace");
    });
    works(&daemon);
    daemon.ok(&["restart", "notes:alice", "--wait"]);
    works(&daemon);
}

// faults: D2
#[test]
fn signals_without_a_meaning_end_nothing() {
    let mut daemon = TestDaemon::start_in(with_alice("[settings]"), &[]);
    for (signal, name) in [(Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2"), (Signal::ALARM, "SIGALRM")] {
        daemon.signal(signal);
        let log = daemon.folder.path().join("daemon.log");
        until("said what it does with it", || fs::read_to_string(&log).unwrap().contains(name));
        works(&daemon);
    }
    daemon.signal(Signal::QUIT);
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn a_service_manager_is_told_when_requests_are_served() {
    let folder = with_alice("[settings]");
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let daemon = TestDaemon::start_as(folder, &[], |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let mut message = [0; 64];
    let length = manager.recv(&mut message).unwrap();
    assert_eq!(&message[..length], b"READY=1\n");
    works(&daemon);
    drop(daemon.stop());
    let length = manager.recv(&mut message).unwrap();
    assert_eq!(&message[..length], b"STOPPING=1\n");
}

#[test]
fn in_a_folder_that_others_may_enter_its_files_are_still_its_own() {
    let folder = with_alice("[settings]");
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let daemon = TestDaemon::start_in(folder, &[]);
    works(&daemon);
    for entry in fs::read_dir(&data).unwrap().map(Result::unwrap) {
        // What comes and goes may be gone.
        let Ok(found) = entry.metadata() else { continue };
        let mode = found.permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", entry.path().display());
    }
}

#[test]
fn whatever_it_keeps_beside_the_services_folders_is_reserved() {
    let daemon = TestDaemon::start_in(with_alice("[settings]"), &[]);
    works(&daemon);
    daemon.ok(&["token-gen", "--save"]);
    let entries = fs::read_dir(daemon.folder.path().join("data")).unwrap();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let beside: Vec<_> = names.iter().filter(|name| !layout::is_own(name)).collect();
    assert!(beside == ["notes"] && names.len() > 7, "{names:?}");
}

// faults: D9
#[test]
fn what_a_killed_daemon_left_behind_stops_no_other() {
    let daemon = TestDaemon::start(&notes(""));
    daemon.ok(&["spawn", "notes:carol"]);
    daemon.ok(&["stop", "notes:carol", "--keep"]);
    let token = daemon.ok(&["token-gen"]);
    let folder = daemon.abandon();
    assert!(folder.path().join("data/admin.sock").exists(), "nobody tidied up");
    let daemon = TestDaemon::start_in(folder, &[]);
    assert_eq!(daemon.status("notes:carol"), "stopped");
    let url = format!("http://127.0.0.1:{}", daemon.port);
    let remote = ten(daemon.folder.path(), &["--server", &url, "ps"])
        .env("TENEMENT_TOKEN", token.trim())
        .output()
        .unwrap();
    assert!(remote.status.success(), "an acknowledged token is kept");
}

// faults: A17
#[test]
fn metrics_name_instances_to_everybody_only_if_that_is_wanted() {
    let series = "instance=\"notes:alice\"";
    let public = TestDaemon::start_in(with_alice("[settings]\nmetrics_detail = 'public'"), &[]);
    works(&public);
    assert!(public.get("localhost", "/metrics").contains(series));
    let usual = TestDaemon::start_in(with_alice("[settings]"), &[]);
    works(&usual);
    assert!(!usual.get("localhost", "/metrics").contains(series));
}

// faults: C13 D4
#[test]
fn a_disk_that_takes_nothing_more_is_named_with_the_remedy() {
    let folder = with_alice("[settings]");
    // A limit on the size of files: the smallest ones can be written, the database can't.
    let limited = "trap '' XFSZ; ulimit -f 1; exec \"$0\" serve --port 0 --host 127.0.0.1 --data-dir data";
    let refused = Command::new("sh")
        .args(["-c", limited, env!("CARGO_BIN_EXE_ten")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let line = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{line}");
    let data = folder.path().join("data");
    assert!(line.contains(data.to_str().unwrap()) && line.contains("make room there"), "{line}");
    assert!(line.contains("--data-dir") && line.lines().count() == 1, "{line}");
}

#[test]
fn a_token_that_is_given_ends_the_one_that_was_given_before() {
    let with_token = |folder, token: &'static str| {
        TestDaemon::start_as(folder, &[], |command| {
            command.env("TENEMENT_TOKEN", token);
        })
    };
    let allows = |daemon: &TestDaemon, token: &str| {
        let url = format!("http://127.0.0.1:{}", daemon.port);
        let mut command = ten(daemon.folder.path(), &["--server", &url, "ps"]);
        command.env("TENEMENT_TOKEN", token).output().unwrap().status.success()
    };
    let daemon = with_token(with_alice("[settings]"), "first-choice");
    let made = daemon.ok(&["token-gen"]);
    assert!(allows(&daemon, "first-choice") && allows(&daemon, made.trim()));
    let daemon = with_token(daemon.stop(), "second-choice");
    assert!(!allows(&daemon, "first-choice"));
    assert!(allows(&daemon, "second-choice") && allows(&daemon, made.trim()), "only that one ends");
    let saved = fs::read_to_string(daemon.folder.path().join("data/api_token")).unwrap();
    assert_eq!(saved.trim(), "second-choice");
    let daemon = TestDaemon::start_in(daemon.stop(), &[]);
    assert!(allows(&daemon, "second-choice"));
}
