//! How much is kept of logs, while the daemon runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::support::{TestDaemon, text, until};

/// A service that prints so many lines, once, and stays.
fn printing(lines: u32, settings: &str, more: &str) -> String {
    let script =
        format!("i=0; while [ $i -lt {lines} ]; do echo a line with the number $i; i=$((i+1)); done");
    format!(
        "[settings]\nmax_starting = 8\n{settings}\n[service.app]\ncommand = \"sh -c '{script}; exec sleep 1000'\"\n\
         startup_timeout = '1h'\n{more}\n"
    )
}

fn json(daemon: &TestDaemon, arguments: &[&str]) -> Value {
    serde_json::from_str(&daemon.ok(&[&["--json"], arguments].concat())).unwrap()
}

fn events(daemon: &TestDaemon, cause: &str) -> Vec<Value> {
    let lines = daemon.ok(&["--json", "events", "-n", "1000"]);
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["cause"] == cause).collect()
}

fn size(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).unwrap().flatten();
    files.map(|file| file.metadata().map_or(0, |file| file.len())).sum()
}

#[test]
fn what_the_file_says_of_logs_is_taken_anew_and_nothing_else_of_it() {
    let daemon = TestDaemon::start(&printing(20_000, "log_retention = '3d'", ""));
    let file = daemon.folder.path().join("tenement.toml");
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    until("printed", || daemon.ok(&["logs", "app:a", "-n", "1"]).ends_with("number 19999\n"));
    let shown = json(&daemon, &["retention"]);
    let app = &shown["services"][0];
    assert_eq!((app["service"].as_str(), app["log_retention"].as_f64()), (Some("app"), Some(259_200.0)));
    assert!(app["oldest"].is_string() && app["instances"] == 1 && app["bytes"].as_u64() > Some(400_000));

    let smaller = "log_max_size = '64K'\nlog_rate_limit = '7/s'\nidle_timeout = 5";
    fs::write(&file, printing(1, "log_retention = '2d'\nlog_disk_full = 'wait'\ndomain = 'b.test'", smaller))
        .unwrap();
    let applied = json(&daemon, &["retention", "--apply"]);
    assert_eq!(applied["services"][0]["log_max_size"], 65_536);
    assert_eq!(applied["services"][0]["log_rate_limit"], 7);
    assert_eq!(applied["log_disk_full"], "wait");
    until("bounded", || size(&daemon.folder.path().join("data/logs/app/a")) <= 64 << 10);
    assert!(daemon.ok(&["logs", "app:a", "-n", "1"]).ends_with("number 19999\n"), "the newest stay");
    let table = daemon.ok(&["retention"]);
    assert!(
        table.contains("app      2d 0h") && table.contains("64.0 KiB") && table.contains("7/s"),
        "{table}"
    );

    fs::write(&file, "[settings]\nlog_retention = 0\nlog_max_size = '1X'\n[service.app]\ncommand = 'x'\n")
        .unwrap();
    let refused = daemon.ten(&["retention", "--apply"]);
    let said = text(&refused.stderr);
    assert!(said.contains("Nothing was changed: ") && said.contains("log_max_size: '1X'"), "{said}");
    fs::remove_file(&file).unwrap();
    assert!(!daemon.ten(&["retention", "--apply"]).status.success());
    let shown = json(&daemon, &["retention"]);
    assert_eq!(shown["services"][0]["log_max_size"], 65_536, "a bad file changes nothing");
    assert_eq!(shown["services"][0]["log_retention"], 172_800.0);
    daemon.ok(&["stop", "app:a"]);
}

// faults: G5 G6
#[test]
fn who_prints_more_than_it_may_is_told_of_in_its_log_and_in_the_history() {
    let daemon = TestDaemon::start(&printing(30_000, "log_rate_limit = '10/s'", ""));
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    let noted = || daemon.ok(&["logs", "app:a", "-n", "10000"]).contains(" - warn  ");
    until("noted", noted);
    until("all came", || {
        let metrics = daemon.get("localhost", "/metrics");
        let of = |name: &str| -> u64 {
            let line = metrics.lines().find(|line| line.starts_with(&format!("{name}{{service=\"app\"}}")));
            line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
        };
        let lines = daemon.ok(&["--json", "logs", "app:a", "-n", "10000"]);
        let notes = lines.lines().filter(|line| line.contains("\"source\":\"daemon\"")).count() as u64;
        of("tenement_log_lines_total") - notes + of("tenement_log_lines_left_out_total") == 30_000
    });
    let told = events(&daemon, "logs_over_rate");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["instance"], &told[0]["from"]), (&"app:a".into(), &told[0]["to"]));
    assert_eq!(told[0]["reason"], "it writes more than log_rate_limit = 10/s: lines are left out");
    daemon.ok(&["stop", "app:a"]);
}

/// A file system of so many KiB in a folder, for as long as it lives.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: PathBuf, kib: u64) -> Option<Self> {
        fs::create_dir(&folder).unwrap();
        let size = format!("size={kib}k,mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        eprintln!("skipped: no file system can be mounted here");
        None
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

// faults: G8 D4
#[test]
fn on_a_full_disk_apps_go_on_and_the_daemon_too() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(folder.path().join("data"), 8 << 10) else { return };
    fs::write(folder.path().join("tenement.toml"), printing(100_000, "", "log_max_size = '2M'")).unwrap();
    let filler = disk.0.join("filler");
    let daemon = TestDaemon::start_in(folder, &[]);
    fs::write(&filler, vec![b'x'; 6 << 20]).unwrap();
    daemon.ok(&["spawn", "app:a", "--no-wait"]);
    until("printed", || daemon.ok(&["logs", "app:a", "-n", "1"]).ends_with("number 99999\n"));
    assert_eq!(daemon.metric("tenement_log_disk_full"), 1);
    assert!(daemon.metric("tenement_log_disk_full_let_go_bytes_total") > 0);
    until("told", || events(&daemon, "logs_disk_full").len() == 1);
    daemon.ok(&["spawn", "app:b", "--no-wait"]);
    assert_eq!(daemon.status("app:a"), daemon.status("app:b"), "there is room for state");
    daemon.ok(&["stop", "app:a", "app:b"]);
    fs::remove_file(&filler).unwrap();
    until("room", || daemon.metric("tenement_log_disk_full") == 0);
    assert_eq!(events(&daemon, "logs_disk_full").len(), 1, "once");
    drop(daemon);
}
