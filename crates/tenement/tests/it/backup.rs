//! What the daemon keeps for itself, saved while it runs and put back.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::support::{TestDaemon, notes, run, text};

fn configure(folder: &Path) {
    fs::write(folder.join("tenement.toml"), notes("idle_timeout = 600")).unwrap();
}

fn restore(folder: &Path, file: &str) -> Output {
    run(folder, &["restore", "--data-dir", "data", file])
}

/// Everything in a folder but folders, and the lock; with its content.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let mut all: Vec<_> = files
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| name != "daemon.lock")
        .collect();
    all.sort();
    all
}

// faults: D9
#[test]
fn a_backup_of_a_daemon_that_runs_can_be_put_back_here_and_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path());
    let daemon = TestDaemon::start_in(folder, &[]);
    daemon.ok(&["spawn", "notes:a", "--env", "KEY=value"]);
    let told = daemon.ok(&["backup", "saved.tar.zst"]);
    assert!(told.contains("saved.tar.zst"), "{told}");
    let saved = daemon.folder.path().join("saved.tar.zst");
    assert_eq!(fs::metadata(&saved).unwrap().permissions().mode() & 0o777, 0o600);
    let again = daemon.ten(&["backup", "saved.tar.zst"]);
    assert!(!again.status.success() && text(&again.stderr).contains("--force"));
    daemon.ok(&["backup", "--force", "saved.tar.zst"]);
    let link = daemon.folder.path().join("link");
    std::os::unix::fs::symlink("/dev/full", &link).unwrap();
    let refused = daemon.ten(&["backup", "--force", "link"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("no regular file"), "{refused:?}");
    assert!(link.is_symlink());
    let piped = daemon.ten(&["backup", "-"]);
    assert!(piped.status.success() && piped.stdout.len() > 1000);
    let token = daemon.ok(&["token-gen", "--name", "read", "--scope", "read"]);
    assert!(!token.is_empty());
    daemon.ok(&["spawn", "notes:b"]);
    daemon.ok(&["stop", "notes:a"]);
    let refused = restore(daemon.folder.path(), "saved.tar.zst");
    assert!(!refused.status.success() && text(&refused.stderr).contains("already uses"), "{refused:?}");
    let left = fs::read_dir(daemon.folder.path().join("data")).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.starts_with(".backup-")), "{left:?}");
    let folder = daemon.stop();
    let bytes = fs::read(&saved).unwrap();
    let done = restore(folder.path(), "saved.tar.zst");
    assert!(done.status.success(), "{}", text(&done.stderr));
    let there = files(&folder.path().join("data"));
    assert!(there.iter().any(|(name, _)| name.starts_with("state.db.before-restore-")));
    // Elsewhere, with what a killed daemon of another boot has left.
    let elsewhere = tempfile::tempdir().unwrap();
    configure(elsewhere.path());
    fs::write(elsewhere.path().join("saved.tar.zst"), bytes).unwrap();
    let done = restore(elsewhere.path(), "saved.tar.zst");
    assert!(done.status.success(), "{}", text(&done.stderr));
    fs::write(elsewhere.path().join("data/daemon.lock"), "4711\n").unwrap();
    fs::write(elsewhere.path().join("data/admin.sock"), "").unwrap();
    for folder in [folder, elsewhere] {
        let daemon = TestDaemon::start_in(folder, &[]);
        assert_eq!((daemon.status("notes:a").as_str(), daemon.status("notes:b").as_str()), ("sleeping", ""));
        assert!(!daemon.ok(&["status"]).contains("Lost"));
        assert!(daemon.ok(&["events"]).contains("notes:a"), "its history too");
        daemon.ok(&["spawn", "notes:a"]);
        assert!(!daemon.ok(&["tokens"]).contains("read"), "made later");
    }
}

#[test]
fn a_backup_that_is_damaged_or_newer_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path());
    let daemon = TestDaemon::start_in(folder, &[]);
    daemon.ok(&["spawn", "notes:a", "--no-wait"]);
    daemon.ok(&["backup", "saved.tar.zst"]);
    let folder = daemon.stop();
    let (path, data) = (folder.path(), folder.path().join("data"));
    let (whole, before) = (fs::read(path.join("saved.tar.zst")).unwrap(), files(&data));
    let mut bad: Vec<Vec<u8>> =
        [0, 1, 10, whole.len() / 2, whole.len() - 1].map(|end| whole[..end].to_vec()).into();
    for at in (0..whole.len()).step_by(whole.len() / 20) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x55;
        bad.push(flipped);
    }
    bad.push(b"[settings]\n".to_vec());
    for (n, bytes) in bad.iter().enumerate() {
        fs::write(path.join("bad"), bytes).unwrap();
        let refused = restore(path, "bad");
        let said = text(&refused.stderr);
        assert!(
            !refused.status.success() && said.contains("bad") && said.contains("nothing was changed"),
            "{n}: {said}"
        );
        assert_eq!(files(&data), before, "{n}");
    }
    assert!(!restore(path, "missing").status.success());
}

// faults: D1
#[test]
fn a_restore_that_is_killed_or_has_no_room_is_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path());
    let daemon = TestDaemon::start_in(folder, &[]);
    daemon.ok(&["spawn", "notes:old", "--no-wait"]);
    daemon.ok(&["backup", "saved.tar.zst"]);
    let saved = fs::read(daemon.folder.path().join("saved.tar.zst")).unwrap();
    daemon.stop();
    let (mut old, mut new) = (0, 0);
    for (calls, error) in [
        ("?rename,?renameat,?renameat2", "signal=KILL"),
        ("fsync", "signal=KILL"),
        ("?unlink,?unlinkat,?rmdir", "signal=KILL"),
        ("write", "error=ENOSPC"),
        ("fsync", "error=EIO"),
    ] {
        for times in [1, 2, 3, 5, 7, 9] {
            let folder = tempfile::tempdir().unwrap();
            configure(folder.path());
            let daemon = TestDaemon::start_in(folder, &[]);
            daemon.ok(&["spawn", "notes:new", "--no-wait"]);
            let folder = daemon.stop();
            fs::write(folder.path().join("saved.tar.zst"), &saved).unwrap();
            let done = Command::new("strace")
                .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")])
                .args(["-e", &format!("inject={calls}:{error}:when={times}")])
                .args([env!("CARGO_BIN_EXE_ten"), "restore", "--data-dir", "data", "saved.tar.zst"])
                .current_dir(folder.path())
                .stderr(Stdio::null())
                .output()
                .expect("strace is there");
            let daemon = TestDaemon::start_in(folder, &[]);
            let known = ["notes:old", "notes:new"].map(|name| !daemon.status(name).is_empty());
            assert!(known[0] != known[1], "{calls} {error} {times}: {known:?}");
            assert!(known[0] || !done.status.success(), "{calls} {error} {times}: what was said is so");
            assert!(!daemon.ok(&["status"]).contains("Lost"), "{calls} {error} {times}");
            (old, new) = (old + u32::from(known[0]), new + u32::from(known[1]));
        }
    }
    assert!(old > 3 && new > 3, "{old} were restored, {new} were not");
}
