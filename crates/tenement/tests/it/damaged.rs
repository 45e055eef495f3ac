//! The daemon's own databases on disks that fail, and damaged: it says so, serves on, and loses nothing that is left.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::support::{NOTHING, TestDaemon, notes, run, text, until};

/// A file system of so many KiB, for as long as it lives. Mounting one needs root; without it there is none.
pub(crate) struct Disk(PathBuf);

impl Disk {
    pub(crate) fn at(folder: &Path, kib: u64) -> Option<Self> {
        let size = format!("size={kib}k,mode=700");
        fs::create_dir(folder).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).status();
        if !mounted.is_ok_and(|status| status.success()) {
            eprintln!("skipped: no file system can be mounted here");
            return None;
        }
        Some(Self(folder.to_owned()))
    }

    /// Takes all room.
    pub(crate) fn fill(&self) {
        let page = [b'x'; 4096];
        let mut filler = fs::File::create(self.0.join("filler")).unwrap();
        while std::io::Write::write_all(&mut filler, &page).is_ok() {}
    }

    pub(crate) fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Head and body of an answer over the local socket.
fn refused(daemon: &TestDaemon, arguments: &[&str]) -> Value {
    let mut all = vec!["--json"];
    all.extend(arguments);
    let output = daemon.ten(&all);
    assert!(!output.status.success(), "{arguments:?}: {}", text(&output.stdout));
    serde_json::from_slice(&output.stderr).unwrap()
}

/// Makes system calls of a process fail, until it is dropped.
struct Failing(Child);

impl Failing {
    fn begin(pid: u32, calls: &str) -> Self {
        let strace = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-p", &pid.to_string()])
            .args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:error=EIO")])
            .stderr(Stdio::null())
            .spawn()
            .expect("strace is there");
        until("watched", || traced(pid));
        Self(strace)
    }

    fn end(mut self, pid: u32) {
        let strace = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(strace, rustix::process::Signal::TERM).unwrap();
        let _ = self.0.wait();
        until("let go", || !traced(pid));
    }
}

/// Whether all threads of a process are watched.
pub(crate) fn traced(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let mut all = threads.map(|thread| fs::read_to_string(thread.path().join("status")).unwrap_or_default());
    all.all(|status| !status.lines().any(|line| line.split_whitespace().eq(["TracerPid:", "0"])))
}

// faults: D4 D5
#[test]
fn a_full_disk_is_a_507_and_instances_serve_on_and_all_is_well_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tenement.toml"), notes("health = \"/health\"")).unwrap();
    let Some(disk) = Disk::at(&folder.path().join("data"), 8 << 10) else { return };
    let daemon = TestDaemon::start_in(folder, &[]);
    daemon.ok(&["spawn", "notes:a"]);
    daemon.ok(&["spawn", "notes:c"]);
    disk.fill();
    // What fits into pages that are there already may still be written.
    let mut made = Vec::new();
    let refusal = loop {
        let output = daemon.ten(&["--json", "token-gen", "--name", &format!("token {}", made.len())]);
        match output.status.success() {
            true => made.push(serde_json::from_slice::<Value>(&output.stdout).unwrap()["id"].clone()),
            false => break serde_json::from_slice::<Value>(&output.stderr).unwrap(),
        }
        assert!(made.len() < 1000, "the disk is full");
    };
    assert_eq!((&refusal["error"], &refusal["status"]), (&"insufficient_storage".into(), &507.into()));
    let message = refusal["message"].as_str().unwrap();
    assert!(message.contains("state.db") && message.contains("full"), "{message}");
    for command in [&["spawn", "notes:b"][..], &["stop", "notes:c", "--keep"]] {
        assert_eq!(refused(&daemon, command)["status"], 507, "{command:?}");
    }
    let host = format!("a.notes.localhost:{}", daemon.port);
    assert!(daemon.get(&host, "/health").starts_with("HTTP/1.1 200"), "serves on");
    assert!(daemon.ok(&["status"]).contains("(ok)"));
    disk.empty();
    until("writable", || daemon.ten(&["stop", "notes:a", "--keep"]).status.success());
    daemon.ok(&["token-gen", "--name", "last"]);
    let folder = daemon.abandon();
    let daemon = TestDaemon::start_in(folder, &[]);
    let tokens: Value = serde_json::from_str(&daemon.ok(&["--json", "tokens"])).unwrap();
    let ids: Vec<_> = tokens["tokens"].as_array().unwrap().iter().map(|token| &token["id"]).collect();
    assert!(made.iter().all(|id| ids.contains(&id)), "what was answered is there");
    assert_eq!(ids.len(), made.len() + 2, "and what was refused is not");
    assert_eq!((daemon.status("notes:a").as_str(), daemon.status("notes:b").as_str()), ("stopped", ""));
    drop(daemon);
}

/// What tells each instance from what it was.
fn lives(daemon: &TestDaemon) -> Vec<(String, String, u64)> {
    let list: Value = serde_json::from_str(&daemon.ok(&["--json", "ps"])).unwrap();
    let all = list["instances"].as_array().unwrap().iter();
    let text = |one: &Value, member: &str| one[member].as_str().unwrap().to_owned();
    all.map(|one| (text(one, "instance"), text(one, "status"), one["pid"].as_u64().unwrap_or(0))).collect()
}

// faults: D4
#[test]
fn what_a_full_disk_refuses_has_ended_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = notes("storage_persist = false\n[instances]\nnotes = ['a', 'b', 'c', 'd', 'e']");
    fs::write(folder.path().join("tenement.toml"), config).unwrap();
    let Some(disk) = Disk::at(&folder.path().join("data"), 8 << 10) else { return };
    let daemon = TestDaemon::start_in(folder, &[]);
    let files =
        ["a", "b", "c", "d", "e"].map(|id| daemon.folder.path().join("data/notes").join(id).join("kept"));
    until("running", || lives(&daemon).iter().all(|(_, status, _)| status == "running"));
    for file in &files {
        fs::write(file, "kept").unwrap();
    }
    let before = lives(&daemon);
    disk.fill();
    let more = |n| daemon.ten(&["token-gen", "--name", &format!("token {n}")]).status.success();
    assert!((0..1000).any(|n| !more(n)), "the disk is full");
    for command in [
        &["stop", "notes:a"][..],
        &["stop", "notes:b", "--keep"],
        &["stop", "notes:c", "--purge"],
        &["spawn", "notes:d", "--restart", "--env", "PLAN=pro"],
        &["restart", "notes:e"],
    ] {
        assert_eq!(refused(&daemon, command)["status"], 507, "{command:?}");
        assert_eq!(lives(&daemon), before, "{command:?}");
    }
    let unharmed = |daemon: &TestDaemon| {
        for id in ["a", "b", "c", "d", "e"] {
            let answer = daemon.get(&format!("{id}.notes.localhost"), "/health");
            assert!(answer.starts_with("HTTP/1.1 200"), "{id}: {answer}");
        }
        assert!(files.iter().all(|file| file.exists()));
        assert_eq!(lives(daemon), before);
    };
    unharmed(&daemon);
    disk.empty();
    let pid = daemon.daemon_pid();
    daemon.kill_daemon();
    until("started again", || daemon.daemon_pid() != pid);
    unharmed(&daemon);
    until("writable", || daemon.ten(&["stop", "notes:a"]).status.success());
    daemon.ok(&["stop", "notes:b", "--keep"]);
    daemon.ok(&["stop", "notes:c", "--purge"]);
    daemon.ok(&["spawn", "notes:d", "--restart", "--env", "PLAN=pro"]);
    let left: Vec<_> =
        lives(&daemon).into_iter().map(|(name, status, _)| format!("{name} {status}")).collect();
    assert_eq!(left, ["notes:b stopped", "notes:d running", "notes:e running"]);
    assert_eq!(files.map(|file| file.exists()), [false, true, false, true, true]);
    drop(daemon);
}

// faults: D4
#[test]
fn a_failed_fsync_is_never_a_success() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tenement.toml"), notes("")).unwrap();
    let daemon = TestDaemon::start_in(folder, &[]);
    daemon.ok(&["spawn", "notes:a"]);
    let (before, running) = (daemon.ok(&["--json", "tokens"]), daemon.processes());
    let failing = Failing::begin(daemon.daemon_pid(), "?fsync,?fdatasync");
    for _ in 0..3 {
        let refusal = refused(&daemon, &["token-gen", "--name", "never"]);
        assert_eq!((&refusal["error"], &refusal["status"]), (&"storage_failed".into(), &503.into()));
        assert!(refusal["message"].as_str().unwrap().contains("I/O error"), "{refusal}");
        assert_eq!(refused(&daemon, &["spawn", "notes:b"])["status"], 503);
        for how in [&["--keep"][..], &["--purge"], &[]] {
            assert_eq!(refused(&daemon, &[&["stop", "notes:a"], how].concat())["status"], 503);
        }
        assert_eq!((daemon.status("notes:a").as_str(), daemon.processes()), ("running", running.clone()));
    }
    assert!(daemon.ok(&["status"]).contains("(ok)"));
    failing.end(daemon.daemon_pid());
    assert_eq!(daemon.ok(&["--json", "tokens"]), before, "what was refused is not there");
    daemon.ok(&["spawn", "notes:b"]);
    daemon.ok(&["token-gen", "--name", "after"]);
    daemon.ok(&["stop", "all", "--yes"]);
    let folder = daemon.abandon();
    let daemon = TestDaemon::start_in(folder, &[]);
    let tokens = daemon.ok(&["--json", "tokens"]);
    assert!(tokens.contains("after") && !tokens.contains("never"), "{tokens}");
    assert!(daemon.status("notes:a").is_empty() && daemon.status("notes:b").is_empty());
}

fn overwrite(path: &Path, from: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[from..].fill(0xa5);
    fs::write(path, bytes).unwrap();
}

// faults: D5
#[test]
fn a_daemon_with_damaged_databases_starts_says_what_was_lost_and_keeps_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tenement.toml"), notes("idle_timeout = 600")).unwrap();
    let daemon = TestDaemon::start_in(folder, &[]);
    for n in 0..60 {
        daemon.ok(&[
            "spawn",
            &format!("notes:n{n}"),
            "--no-wait",
            "--env",
            &format!("LONG={}", "x".repeat(500)),
        ]);
        daemon.ok(&["stop", &format!("notes:n{n}"), "--keep"]);
    }
    let folder = daemon.stop();
    let data = folder.path().join("data");
    let size = fs::metadata(data.join("state.db")).unwrap().len() as usize;
    overwrite(&data.join("state.db"), size * 2 / 3);
    overwrite(&data.join("history.db"), 4096);
    overwrite(&data.join("sinks.db"), 0);
    let daemon = TestDaemon::start_in(folder, &[]);
    let status: Value = serde_json::from_str(&daemon.ok(&["--json", "status"])).unwrap();
    let lost: Vec<_> = status["lost"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert_eq!(lost.len(), 3, "{lost:?}");
    for what in ["state database", "history.db", "sinks.db"] {
        assert!(lost.iter().any(|one| one.contains(what) && one.contains(".corrupt-")), "{what}: {lost:?}");
    }
    assert!(daemon.ok(&["status"]).contains("Lost: "), "for people too");
    assert_eq!(daemon.metric("tenement_state_losses"), 3);
    let known = status["instances"]["known"].as_u64().unwrap();
    assert!((1..60).contains(&known), "{known}");
    let log = fs::read_to_string(daemon.folder.path().join("daemon.log")).unwrap();
    assert!(log.contains("ERROR") && log.contains("the state database was damaged"), "{log}");
    let events = daemon.ok(&["--json", "events"]);
    assert!(events.contains("the state database was damaged"), "{events}");
    // It is told until somebody has looked.
    let folder = daemon.stop();
    let daemon = TestDaemon::start_in(folder, &[]);
    assert_eq!(daemon.metric("tenement_state_losses"), 3);
    let data = daemon.folder.path().join("data");
    for file in fs::read_dir(data).unwrap().flatten() {
        if file.file_name().to_str().unwrap().contains(".corrupt-") {
            fs::remove_file(file.path()).unwrap();
        }
    }
    assert_eq!(daemon.metric("tenement_state_losses"), 0);
    assert!(!daemon.ok(&["status"]).contains("Lost"));
}

// faults: D5 D9
#[test]
fn a_daemon_whose_state_is_gone_starts_with_what_is_declared_and_a_new_token() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("tenement.toml"),
        notes("idle_timeout = 600\n[instances]\nnotes = [\"first\"]"),
    )
    .unwrap();
    let daemon = TestDaemon::start_in(folder, &[]);
    daemon.ok(&["spawn", "notes:second", "--no-wait"]);
    let folder = daemon.stop();
    fs::write(folder.path().join("data/state.db"), "").unwrap();
    let token = fs::read(folder.path().join("data/api_token")).unwrap();
    let daemon = TestDaemon::start_in(folder, &[]);
    assert_ne!(fs::read(daemon.folder.path().join("data/api_token")).unwrap(), token);
    assert!(!daemon.status("notes:first").is_empty() && daemon.status("notes:second").is_empty());
    assert!(daemon.ok(&["status"]).contains("A new API token is made"));
}

// faults: D5
#[test]
fn a_state_that_is_locked_or_somebody_elses_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tenement.toml"), NOTHING).unwrap();
    let folder = TestDaemon::start_in(folder, &[]).stop();
    let state = folder.path().join("data/state.db");
    let serve = || run(folder.path(), &["serve", "--port", "0", "--data-dir", "data"]);
    let before = fs::read(&state).unwrap();
    if rustix::process::geteuid().is_root() {
        let uid = |uid| Some(rustix::fs::Uid::from_raw(uid));
        rustix::fs::chown(&state, uid(65534), None).unwrap();
        let output = serve();
        let said = text(&output.stderr);
        assert!(
            !output.status.success() && said.contains("belongs to uid 65534") && said.contains("chown"),
            "{said}"
        );
        rustix::fs::chown(&state, uid(0), None).unwrap();
    }
    assert_eq!(fs::read(&state).unwrap(), before);
}

// faults: D5 D13
#[test]
fn a_history_or_places_of_a_newer_release_are_refused_and_missing_ones_are_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tenement.toml"), NOTHING).unwrap();
    let mut folder = TestDaemon::start_in(folder, &[]).stop();
    for name in ["history.db", "sinks.db"] {
        let path = folder.path().join("data").join(name);
        let version = |number: i64| {
            rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", number).unwrap();
        };
        let daemon = TestDaemon::start_in(folder, &[]);
        version(99);
        let refused = daemon.ten(&["upgrade"]);
        let said = text(&refused.stderr);
        assert!(
            !refused.status.success() && said.contains(name) && said.contains("newer tenement"),
            "{said}"
        );
        folder = daemon.stop();
        let output = run(folder.path(), &["serve", "--port", "0", "--data-dir", "data"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        for part in [name, "newer tenement", "99", "upgrade ten", "move that file away"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        version(0);
    }
    for name in ["history.db", "sinks.db"] {
        fs::remove_file(folder.path().join("data").join(name)).unwrap();
    }
    let daemon = TestDaemon::start_in(folder, &[]);
    let status = daemon.ok(&["status"]);
    for name in ["history.db", "sinks.db"] {
        assert!(status.contains(&format!("{name} is not there any more")), "{status}");
    }
}
