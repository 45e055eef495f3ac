//! A daemon that is killed while it deletes or stops an instance leaves all of it, or nothing once it has started again.

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

/// Listens; when it is told to end it says so in a file and waits for another one.
const SLOW: &str = r#"
import os, signal, socket, time
data = os.environ["DATA_DIR"]
def told(*_):
    open(data + "/told", "w").close()
    while not os.path.exists(data + "/go"): time.sleep(0.01)
    os._exit(0)
signal.signal(signal.SIGTERM, told)
listening = socket.socket(socket.AF_UNIX)
listening.bind(os.environ["SOCKET_PATH"])
listening.listen(64)
print("said", flush=True)
while True: signal.pause()
"#;

fn slow(more: &str) -> TestDaemon {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.py"), SLOW).unwrap();
    let config = format!(
        "[settings]\nbackoff_base_ms = 50\nstop_timeout = 60\n[service.app]\ncommand = \"python3 '{}'\"\n{more}",
        folder.path().join("app.py").display()
    );
    fs::write(folder.path().join("tenement.toml"), config).unwrap();
    TestDaemon::start_in(folder, &[])
}

/// Each way to stop one: what it is called here, the options, its status then, and whether its data and its logs stay.
const WAYS: [(&str, &[&str], &str, bool); 3] =
    [("keep", &["--keep"], "stopped", true), ("forget", &[], "", true), ("purge", &["--purge"], "", false)];

/// It is what it was to become, soon.
fn done(daemon: &TestDaemon, (id, _, status, stays): (&str, &[&str], &str, bool)) {
    let data = daemon.folder.path().join("data");
    until("as it was to be", || daemon.status(&format!("app:{id}")) == status);
    until("erased, or not", || {
        [data.join("app").join(id), data.join("logs/app").join(id)].iter().all(|path| path.exists() == stays)
    });
    assert_eq!(daemon.processes(), [0; 0], "{id}");
}

// faults: D1 D10
#[test]
fn a_stop_under_way_is_carried_out_by_the_next_daemon() {
    let daemon = slow("");
    for (way, next) in WAYS.into_iter().flat_map(|way| [(way, "killed"), (way, "upgraded")]) {
        let (id, options, ..) = way;
        let name = format!("app:{id}");
        daemon.ok(&["spawn", &name]);
        let file = |file: &str| daemon.folder.path().join("data/app").join(id).join(file);
        let mut stop = crate::support::ten(daemon.folder.path(), &["--data-dir", "data", "stop", &name]);
        let mut stop = stop.args(options).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("told to end", || file("told").exists());
        let before = daemon.daemon_pid();
        if next == "killed" {
            daemon.kill_daemon();
        } else {
            daemon.ok(&["upgrade"]);
        }
        until("another daemon", || daemon.daemon_pid() != before);
        assert_eq!(daemon.status(&name), "stopping", "{id} {next}");
        fs::write(file("go"), "").unwrap();
        done(&daemon, way);
        stop.wait().unwrap();
        for left in ["told", "go"] {
            let _ = fs::remove_file(file(left));
        }
    }
}

// faults: D1
#[test]
fn a_stop_that_is_written_down_and_no_more_is_carried_out_by_the_next_daemon() {
    for gone in [false, true] {
        let daemon = slow("");
        for (id, ..) in WAYS {
            daemon.ok(&["spawn", &format!("app:{id}")]);
            fs::write(daemon.folder.path().join("data/app").join(id).join("go"), "").unwrap();
            until("has logs", || daemon.ok(&["logs", &format!("app:{id}")]).contains("said"));
        }
        // As a daemon leaves it that is killed just then.
        let folder = daemon.kill_alone();
        let state = rusqlite::Connection::open(folder.path().join("data/state.db")).unwrap();
        // Whoever closes it last would take the `-wal` with it.
        state.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        state
            .execute_batch(
                "UPDATE instances SET desired = 'stopped';
                 INSERT INTO leaving (service, id, data, logs) VALUES ('app', 'forget', 0, 0), ('app', 'purge', 1, 1);",
            )
            .unwrap();
        drop(state);
        if gone {
            // And its service is not in the configuration any more.
            let path = folder.path().join("tenement.toml");
            let config = fs::read_to_string(&path).unwrap();
            fs::write(path, config.replace("[service.app]", "[service.other]")).unwrap();
        }
        let daemon = TestDaemon::start_in(folder, &[]);
        until("ended", || daemon.processes().is_empty());
        for way in WAYS {
            let (id, options, _, stays) = way;
            done(&daemon, if gone { (id, options, "", stays) } else { way });
        }
        let log = fs::read_to_string(daemon.folder.path().join("daemon.log")).unwrap();
        assert!(!log.contains("can't be erased"), "{log}");
    }
}
