//! A daemon that is killed while it deletes an instance leaves all of it, or nothing once it has started again.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::support::{TestDaemon, text, until};

/// What a deletion calls that changes something.
const CALLS: [&str; 3] = ["?unlink,?unlinkat,?rmdir", "?fsync,?fdatasync", "pwrite64"];
/// The first and some later ones.
const TIMES: [u32; 7] = [1, 2, 3, 4, 5, 7, 9];

fn configure(folder: &Path) {
    let config = "[settings]\nbackoff_base_ms = 50\n[service.app]\nidle_timeout = 600\nstartup_timeout = 60\n\
                  command = \"sh -c 'echo said; mkdir -p $DATA_DIR/deep; echo kept > $DATA_DIR/deep/file; sleep 1000'\"\n\
                  storage_persist = false\n";
    fs::write(folder.join("tenement.toml"), config).unwrap();
}

/// An instance that has data, logs, a token and is stopped.
fn prepare(daemon: &TestDaemon) -> String {
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    let file = daemon.folder.path().join("data/app/a/deep/file");
    until("has data", || file.exists());
    until("has logs", || daemon.ok(&["logs", "app:a"]).contains("said"));
    daemon.ok(&["stop", "app:a", "--keep"]);
    let made = daemon.ok(&["--json", "token-gen", "--instance", "app:a"]);
    serde_json::from_str::<serde_json::Value>(&made).unwrap()["token"].as_str().unwrap().to_owned()
}

/// Has a process killed when it makes one of these calls so many times in one of its threads from now on.
fn kill_at(pid: u32, calls: &str, times: u32) -> Child {
    let strace = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-p", &pid.to_string()])
        .args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:signal=KILL:when={times}")])
        .stderr(Stdio::null())
        .spawn()
        .expect("strace is there");
    until("watched", || crate::damaged::traced(pid));
    strace
}

/// What is there of the instance: record, data, logs, events, token.
fn there(daemon: &TestDaemon, token: &str) -> [bool; 5] {
    let data = daemon.folder.path().join("data");
    let events = daemon.ok(&["--json", "events"]);
    let who = crate::support::ten(daemon.folder.path(), &["ps"])
        .env("TENEMENT_TOKEN", token)
        .env("TENEMENT_SERVER", format!("http://127.0.0.1:{}", daemon.port))
        .output()
        .unwrap();
    [
        !daemon.status("app:a").is_empty(),
        data.join("app/a/deep/file").exists(),
        data.join("logs/app/a").exists(),
        events.contains("app:a"),
        who.status.success(),
    ]
}

// faults: D1
#[test]
fn a_deletion_that_is_killed_leaves_all_or_nothing_and_one_that_was_answered_nothing() {
    let (mut killed, mut finished) = (0, 0);
    for how in ["--purge", ""] {
        for calls in CALLS {
            for times in TIMES {
                let folder = tempfile::tempdir().unwrap();
                configure(folder.path());
                let daemon = TestDaemon::start_in(folder, &[]);
                let token = prepare(&daemon);
                let mut strace = kill_at(daemon.daemon_pid(), calls, times);
                let stop: Vec<_> =
                    ["stop", "app:a", how].into_iter().filter(|word| !word.is_empty()).collect();
                let answer = daemon.ten(&stop);
                let folder = daemon.abandon();
                let _ = strace.wait();
                let log = folder.path().join("daemon.log");
                let daemon = TestDaemon::start_in(folder, &[]);
                killed += u32::from(!answer.status.success());
                let done_now = fs::read_to_string(&log).unwrap().contains("was being deleted");
                finished += u32::from(done_now);
                let [record, data, logs, events, valid] = there(&daemon, &token);
                let case = format!("{how} {calls} {times} {} {done_now}", text(&answer.stderr));
                if record {
                    assert!(!answer.status.success() && data && logs && events && valid, "{case}");
                } else {
                    let rest = [data, logs, events, valid];
                    let purged = how == "--purge";
                    assert_eq!(rest, if purged { [false; 4] } else { [false, true, true, true] }, "{case}");
                }
                for folder in ["pipes", "samples"] {
                    assert!(
                        !daemon.folder.path().join("data").join(folder).join("app/a").exists() || record,
                        "{case}"
                    );
                }
            }
        }
    }
    assert!(killed > 15 && finished > 5, "{killed} were killed, {finished} were finished later");
}
