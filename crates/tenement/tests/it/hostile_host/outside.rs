//! What others do to its folders, its output and its rights.

use std::{
    fs,
    io::Write,
    os::unix::fs::chown,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::*;

// faults: D13
#[test]
fn a_folder_of_sockets_that_is_removed_is_made_anew_by_the_next_request() {
    let daemon = TestDaemon::start_in(folder("", ""), &[]);
    let before = answering(&daemon);
    for folder in ["run", "pipes"] {
        fs::remove_dir_all(daemon.folder.path().join("data").join(folder)).unwrap();
    }
    let after = answering(&daemon);
    assert_ne!(after, before);
    assert_eq!(daemon.processes(), [after]);
    assert!(view(&daemon)["reason"].as_str().unwrap().contains("its socket was removed"));
    until("its lines are read", || daemon.ok(&["logs", "app:a"]).matches("ready").count() == 2);
    // And one that is started by a daemon which finds nothing of them.
    let running = daemon.processes();
    for folder in ["run", "pipes"] {
        fs::remove_dir_all(daemon.folder.path().join("data").join(folder)).unwrap();
    }
    replaced(&daemon);
    assert_eq!(daemon.processes(), running);
    assert_ne!(answering(&daemon), after);
    assert_eq!(daemon.metric("tenement_panics_total"), 0);
}

// faults: D13
#[test]
fn a_folder_of_sockets_that_is_removed_is_found_by_health_checks() {
    let daemon = TestDaemon::start_in(folder("health_check_interval = 0.1", "health = '/'"), &[]);
    let before = answering(&daemon);
    fs::remove_dir_all(daemon.folder.path().join("data/run")).unwrap();
    until("restarted", || {
        let now = view(&daemon);
        now["restart_count"] == 1 && now["status"] == "running"
    });
    assert_ne!(answering(&daemon), before);
}

// faults: D14
#[test]
fn a_standard_output_that_nobody_reads_or_that_is_closed_changes_nothing() {
    let full = "exec \"$0\" \"$@\" 1>&3 2>&3 3>&-";
    for script in [full, "exec \"$0\" \"$@\" <&- >&- 2>&-"] {
        let (folder, free) = (folder("", ""), Free::find());
        let port = free.address.port().to_string();
        let (_reader, mut writer) = std::io::pipe().unwrap();
        rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
        while writer.write(&[b'-'; 4096]).is_ok() {}
        rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::empty()).unwrap();
        let serve = ["serve", "--host", "127.0.0.1", "--port", &port, "--data-dir", "data"];
        let mut keeper = Command::new("sh")
            .args(["-c", &format!("exec 3>&1; {script}"), env!("CARGO_BIN_EXE_ten")])
            .args(serve)
            .current_dir(folder.path())
            .env("RUST_LOG", "trace")
            .stdout(writer)
            .spawn()
            .unwrap();
        let ok = |arguments: &[&str]| {
            let mut all = vec!["--data-dir", "data"];
            all.extend(arguments);
            run(folder.path(), &all)
        };
        let socket = folder.path().join("data/admin.sock");
        until("serving", || socket.exists() && ok(&["health", "app:a"]).status.code() != Some(7));
        let lock = || fs::read_to_string(folder.path().join("data/daemon.lock")).unwrap();
        for _ in 0..3 {
            let first: i32 = lock().split_whitespace().next().unwrap().parse().unwrap();
            kill_process(Pid::from_raw(first).unwrap(), Signal::KILL).unwrap();
            until("started again", || !lock().starts_with(&format!("{first} ")));
            let listed = ok(&["ps"]);
            assert!(listed.status.success(), "{}", text(&listed.stderr));
        }
        let restarted = ok(&["restart", "app:a", "--wait"]);
        assert!(restarted.status.success(), "{}", text(&restarted.stderr));
        signal(keeper.id(), Signal::TERM);
        assert_eq!(keeper.wait().unwrap().code(), Some(0));
    }
}

/// `nobody` of Debian and others.
const NOBODY: u32 = 65534;

/// `ten`, where everybody can execute it, and a folder that is somebody's without rights.
fn unprivileged(folder: &Path) -> std::path::PathBuf {
    let program = folder.join("ten");
    if fs::hard_link(env!("CARGO_BIN_EXE_ten"), &program).is_err() {
        fs::copy(env!("CARGO_BIN_EXE_ten"), &program).unwrap();
    }
    for entry in fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path() != program) {
        chown(entry.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    program
}

/// A program, as somebody without any right.
fn nobody(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set=-all"])
        .arg(program);
    command
}

/// A daemon of somebody without any right, whose folder is that user's but for what `adapt` changes.
pub(crate) fn start_as_nobody(folder: tempfile::TempDir, adapt: impl FnOnce(&Path)) -> TestDaemon {
    let program = unprivileged(folder.path());
    adapt(folder.path());
    TestDaemon::start_as(folder, &[], |command| {
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let out =
            fs::File::options().append(true).open(command.get_current_dir().unwrap().join("daemon.log"));
        let dir = command.get_current_dir().unwrap().to_owned();
        *command = nobody(&program);
        command
            .args(arguments)
            .current_dir(dir)
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .stderr(out.unwrap());
    })
}

// faults: D16 D6
#[test]
fn somebody_without_rights_has_all_but_what_is_said_to_be_missing() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become somebody else; all other tests show the same then");
        return;
    }
    let folder = folder("", "");
    let daemon = start_as_nobody(folder, |_| {});
    let instance = answering(&daemon);
    let owner = fs::read_to_string(format!("/proc/{instance}/status")).unwrap();
    assert!(owner.contains(&format!("Uid:\t{NOBODY}\t{NOBODY}")), "{owner}");
    let told = log(&daemon);
    assert!(told.contains("no cgroups (not permitted or not there)"), "{told}");
    assert!(daemon.ok(&["status"]).contains("no cgroups"));
    for _ in 0..2 {
        replaced(&daemon);
        assert_eq!(answering(&daemon), instance, "taken on");
    }
    // No process more for this user.
    let server = daemon.daemon_pid();
    let limits = fs::read_to_string(format!("/proc/{server}/limits")).unwrap();
    let before = limits.lines().find_map(|line| line.strip_prefix("Max processes")).unwrap();
    let before = before.split_ascii_whitespace().next().unwrap();
    // The same user may do that, root perhaps not.
    let limit = |to: &str| {
        let arguments = [&format!("--pid={server}"), &format!("--nproc={to}:")];
        assert!(nobody(Path::new("prlimit")).args(arguments).status().unwrap().success());
    };
    limit("0");
    let failed = daemon.ten(&["spawn", "app:b"]);
    assert!(
        !failed.status.success() && text(&failed.stderr).contains("processes"),
        "{}",
        text(&failed.stderr)
    );
    assert_eq!(answering(&daemon), instance);
    limit(before);
    daemon.ok(&["spawn", "app:b"]);
    assert_eq!((daemon.metric("tenement_panics_total"), daemon.daemon_pid()), (0, server));
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if first.trim().parse::<u16>().unwrap() > 80 {
        let refused = nobody(&daemon.folder.path().join("ten"))
            .args(["serve", "--host", "127.0.0.1", "--port", "80", "--data-dir", "other"])
            .current_dir(daemon.folder.path())
            .output()
            .unwrap();
        let line = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{line}");
        assert!(line.contains("needs CAP_NET_BIND_SERVICE"), "{line}");
    }
}
