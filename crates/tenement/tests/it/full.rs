//! A disk that another program keeps full, and daemons that are started on it.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    damaged::Disk,
    support::{TestDaemon, notes, text, until},
};

/// Takes whatever room there is, at once, as long as it lives.
struct Hog {
    stop: Arc<AtomicBool>,
    taking: Option<JoinHandle<()>>,
    path: PathBuf,
}

impl Hog {
    fn on(disk: &Path) -> Self {
        let (path, stop) = (disk.join("hog"), Arc::new(AtomicBool::new(false)));
        let (taker, stopped) = (path.clone(), Arc::clone(&stop));
        let taking = std::thread::spawn(move || {
            let mut file = fs::File::options().create(true).append(true).open(taker).unwrap();
            while !stopped.load(Relaxed) {
                while file.write_all(&[b'x'; 4096]).is_ok() {}
                // Others have a processor to use as well.
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let hog = Self { stop, taking: Some(taking), path };
        until("full", || rustix::fs::statvfs(disk).unwrap().f_bavail == 0);
        hog
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let _ = self.taking.take().map(JoinHandle::join);
        let _ = fs::remove_file(&self.path);
    }
}

fn serving() -> Option<(TestDaemon, Disk, PathBuf)> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tenement.toml"), notes("health = \"/health\"\nrestart = \"always\""))
        .unwrap();
    let data = folder.path().join("data");
    let disk = Disk::at(&data, 8 << 10)?;
    let daemon = TestDaemon::start_in(folder, &[]);
    daemon.ok(&["spawn", "notes:a"]);
    daemon.ok(&["spawn", "notes:b"]);
    daemon.ok(&["spawn", "notes:kept", "--no-wait"]);
    daemon.ok(&["stop", "notes:kept", "--keep"]);
    Some((daemon, disk, data))
}

/// The pid of an instance that runs.
fn pid(daemon: &TestDaemon, id: &str) -> Option<u64> {
    let list: Value = serde_json::from_str(&daemon.ok(&["--json", "ps"])).unwrap();
    let all = list["instances"].as_array().unwrap();
    let one = all.iter().find(|one| one["instance"] == format!("notes:{id}"))?;
    one["pid"].as_u64().filter(|_| one["status"] == "running")
}

fn serves(daemon: &TestDaemon, id: &str) {
    let answer = daemon.get(&format!("{id}.notes.localhost"), "/health");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

fn is_full(daemon: &TestDaemon, arguments: &[&str]) {
    let output = daemon.ten(&[&["--json"], arguments].concat());
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("\"status\":507"), "{arguments:?}: {said}");
}

/// What runs is served, what is there is told, what would change something is refused.
fn works_without_room(daemon: &TestDaemon, pids: [u64; 2]) {
    for (id, was) in ["a", "b"].into_iter().zip(pids) {
        until("it runs", || pid(daemon, id).is_some());
        assert_eq!(pid(daemon, id), Some(was), "{id} is another one");
        serves(daemon, id);
    }
    is_full(daemon, &["token-gen", "--name", "refused"]);
    is_full(daemon, &["spawn", "notes:refused"]);
    assert!(daemon.ok(&["tokens"]).contains("admin") && daemon.status("notes:kept") == "stopped");
    daemon.ok(&["--json", "events"]);
    assert!(!daemon.ok(&["status"]).contains("Lost"), "nothing is lost");
}

/// It gets well by itself.
fn works_with_room(daemon: &TestDaemon) {
    until("it writes", || daemon.ten(&["token-gen", "--name", "after"]).status.success());
    daemon.ok(&["spawn", "notes:after"]);
    until("its history is whole", || daemon.ok(&["--json", "events", "notes:after"]).contains("running"));
    // Soon: what was opened without room keeps others out.
    until("it can be saved", || daemon.ten(&["backup", "--force", "backup"]).status.success());
    assert!(!daemon.ok(&["tokens"]).contains("refused") && daemon.status("notes:refused").is_empty());
}

// faults: D1 D2 D4 D5
#[test]
fn a_daemon_starts_on_a_full_disk_serves_what_runs_and_gets_well_when_there_is_room() {
    let Some((daemon, _disk, data)) = serving() else { return };
    let pids = ["a", "b"].map(|id| pid(&daemon, id).unwrap());
    let hog = Hog::on(&data);
    let before = daemon.daemon_pid();
    daemon.kill_daemon();
    until("another one is there", || daemon.daemon_pid() != before);
    works_without_room(&daemon, pids);
    let daemon = TestDaemon::start_in(daemon.kill_alone(), &[]);
    works_without_room(&daemon, pids);
    drop(hog);
    works_with_room(&daemon);
    let folder = daemon.stop();
    let daemon = TestDaemon::start_in(folder, &[]);
    assert!(!daemon.ok(&["status"]).contains("Lost"), "and nothing was lost");
    assert!(daemon.ok(&["tokens"]).contains("after"));
    drop(daemon);
}

// faults: D4
#[test]
fn what_was_opened_without_room_can_be_saved_when_there_is_room_though_nothing_is_written() {
    let Some((daemon, _disk, data)) = serving() else { return };
    let pids = ["a", "b"].map(|id| pid(&daemon, id).unwrap());
    let hog = Hog::on(&data);
    let folder = daemon.kill_alone();
    // Each would need them anew, and there is no room for that.
    for name in ["state", "history", "sinks"] {
        let _ = fs::remove_file(data.join(format!("{name}.db-shm")));
    }
    until("full", || rustix::fs::statvfs(&data).unwrap().f_bavail == 0);
    let daemon = TestDaemon::start_in(folder, &[]);
    works_without_room(&daemon, pids);
    drop(hog);
    until("it can be saved", || daemon.ten(&["backup", "--force", "backup"]).status.success());
    works_with_room(&daemon);
}

// faults: D4 D13
#[test]
fn an_upgrade_on_a_full_disk_works_and_what_happened_before_it_is_told_when_there_is_room() {
    let Some((daemon, _disk, data)) = serving() else { return };
    let pids = ["a", "b"].map(|id| pid(&daemon, id).unwrap());
    let hog = Hog::on(&data);
    is_full(&daemon, &["spawn", "notes:refused"]);
    for _ in 0..2 {
        daemon.ok(&["upgrade"]);
        works_without_room(&daemon, pids);
    }
    // From one that was started without room to another one.
    let before = daemon.daemon_pid();
    daemon.kill_daemon();
    until("another one is there", || daemon.daemon_pid() != before);
    works_without_room(&daemon, pids);
    daemon.ok(&["upgrade"]);
    works_without_room(&daemon, pids);
    drop(hog);
    works_with_room(&daemon);
}

// faults: D1 D4
#[test]
fn what_was_started_while_there_was_no_room_to_write_it_down_is_taken_on_all_the_same() {
    let Some((daemon, _disk, data)) = serving() else { return };
    let hog = Hog::on(&data);
    let mut last = ["a", "b"].map(|id| pid(&daemon, id).unwrap());
    let mut daemon = daemon;
    for _ in 0..2 {
        for (id, pid_of) in ["a", "b"].into_iter().zip(&mut last) {
            let victim = Pid::from_raw(i32::try_from(*pid_of).unwrap()).unwrap();
            kill_process(victim, Signal::KILL).unwrap();
            until("started again", || pid(&daemon, id).is_some_and(|pid| pid != *pid_of));
            *pid_of = pid(&daemon, id).unwrap();
        }
        daemon = TestDaemon::start_in(daemon.kill_alone(), &[]);
        works_without_room(&daemon, last);
        assert_eq!(daemon.processes().len(), 2);
    }
    // What waited in memory is written.
    drop(hog);
    let log = daemon.folder.path().join("daemon.log");
    let said = || fs::read_to_string(&log).unwrap().matches("what is running is written down again").count();
    until("written", || said() > 0);
    let daemon = TestDaemon::start_in(daemon.kill_alone(), &[]);
    assert_eq!(["a", "b"].map(|id| pid(&daemon, id)), last.map(Some));
    works_with_room(&daemon);
}
