//! A stop takes everything.

use tenement_runtime::process::Strategy;

use crate::support::{Place, STRATEGIES, open_descriptors, pipe, read_lines, state, zombies_of_ours};

/// Prints the pids of: itself, a child, a grandchild in a session of its own whose parent is gone.
const FAMILY: &str = r#"
import os, signal, sys, time
def say(word): os.write(1, f"{word} {os.getpid()}\n".encode())
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
if os.fork() == 0:
    say("child")
    while True: time.sleep(1000)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        say("daemon")
        while True: time.sleep(1000)
    os._exit(0)
say("first")
while True: time.sleep(1000)
"#;

// faults: I4 I5
#[tokio::test]
async fn a_family_of_daemons_that_ignore_sigterm_dies() {
    for strategy in STRATEGIES {
        let Some(place) = Place::new(strategy) else { continue };
        let (reader, writer) = pipe();
        let mut launch = place.launch(&["/usr/bin/python3", "-c", FAMILY]);
        launch.stdout = writer;
        let process = place.host.spawn(launch).unwrap();
        let pids: Vec<u32> = read_lines(&reader, 3)
            .await
            .iter()
            .map(|l| l.split(' ').nth(1).unwrap().parse().unwrap())
            .collect();
        for &pid in &pids {
            assert!(process.owns(pid), "{strategy:?} {pid}");
            assert!(process.members().contains(&pid), "{strategy:?} {pid}");
        }
        assert!(!process.owns(std::process::id()));
        process.terminate();
        process.kill_tree().await;
        for pid in pids {
            assert_eq!(state(pid), None, "{strategy:?} {pid}");
        }
        assert_eq!(process.exited().await.signal(), Some(9));
        assert_eq!(process.members(), [0_u32; 0]);
    }
}

// faults: I4
#[tokio::test]
async fn children_that_outlive_the_first_process_die() {
    for strategy in STRATEGIES {
        let Some(place) = Place::new(strategy) else { continue };
        let (reader, writer) = pipe();
        let mut launch =
            place.shell("setsid sh -c 'echo $$; exec sleep 1000' & read line < /dev/null; exit 3");
        launch.stdout = writer;
        let process = place.host.spawn(launch).unwrap();
        let left: u32 = read_lines(&reader, 1).await[0].parse().unwrap();
        assert_eq!(process.exited().await.to_string(), "exited with code 3");
        assert!(process.owns(left), "{strategy:?}");
        process.kill_tree().await;
        assert_eq!(state(left), None, "{strategy:?}");
    }
}

// faults: I5
#[tokio::test]
async fn a_stopped_process_hears_sigterm() {
    for strategy in STRATEGIES {
        let Some(place) = Place::new(strategy) else { continue };
        let process = place.spawn("trap 'exit 7' TERM; kill -STOP $$; while :; do sleep 0.01; done");
        while state(process.pid()) != Some('T') {
            tokio::task::yield_now().await;
        }
        process.terminate();
        assert_eq!(process.exited().await.code(), Some(7), "{strategy:?}");
        process.kill_tree().await;
    }
}

// faults: I5
#[tokio::test]
async fn a_stopped_process_dies() {
    for strategy in STRATEGIES {
        let Some(place) = Place::new(strategy) else { continue };
        let process = place.spawn("kill -STOP $$");
        while state(process.pid()) != Some('T') {
            tokio::task::yield_now().await;
        }
        process.kill_tree().await;
        assert_eq!(process.exited().await.to_string(), "killed by SIGKILL");
    }
}

// faults: I4
#[tokio::test]
async fn a_thousand_cycles_leave_nothing() {
    let place = Place::detect();
    let script = "(setsid sh -c 'exec sleep 1000' &) ; (exit 0) & exec sleep 1000";
    for _ in 0..10 {
        place.spawn(script).kill_tree().await;
    }
    let descriptors = open_descriptors();
    for _ in 0..1000 {
        place.spawn(script).kill_tree().await;
    }
    while zombies_of_ours() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(open_descriptors(), descriptors);
}

#[tokio::test]
async fn usage_counts_the_whole_tree() {
    for strategy in STRATEGIES {
        let Some(place) = Place::new(strategy) else { continue };
        let (reader, writer) = pipe();
        let mut launch = place.launch(&["/usr/bin/python3", "-c", "import os,time\nif os.fork()==0: os.setsid()\nb=bytearray(b'x')*(20<<20)\nfor i in range(2000000): pass\nos.write(1,b'ok\\n')\ntime.sleep(1000)"]);
        launch.stdout = writer;
        let process = place.host.spawn(launch).unwrap();
        read_lines(&reader, 2).await;
        let usage = process.usage();
        assert!(usage.memory_bytes > 40 << 20, "{strategy:?} {usage:?}");
        assert!(!usage.cpu_time.is_zero(), "{strategy:?} {usage:?}");
        process.kill_tree().await;
        assert_eq!(process.usage().memory_bytes, 0);
    }
}

/// A process that no instance can be told of: another session, no parent, no environment.
const LOST: &str = "
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve('/bin/sh', ['sh', '-c', 'echo lost $$; exec sleep 1000'], {})
    os._exit(0)
os.wait()
";

// faults: I4
#[tokio::test]
async fn without_cgroups_what_got_lost_is_ended_at_last() {
    let place = Place::new(Strategy::Walk).unwrap();
    let (reader, writer) = pipe();
    let mut launch = place.launch(&["/usr/bin/python3", "-c", LOST]);
    launch.stdout = writer;
    let process = place.host.spawn(launch).unwrap();
    let line = read_lines(&reader, 1).await.remove(0);
    let lost: u32 = line.split(' ').nth(1).unwrap().parse().unwrap();
    process.kill_tree().await;
    place.host.end_strays().await.unwrap();
    assert_eq!(state(lost), None);
}

// faults: D1
#[tokio::test]
async fn a_run_is_not_started_beside_an_earlier_one() {
    for strategy in [Strategy::Unified, Strategy::Freezer] {
        let Some(place) = Place::new(strategy) else { continue };
        let earlier = place.spawn("exec sleep 1000");
        let mut again = place.shell("exec sleep 1000");
        again.instance = format!("api:t{}", earlier.handle().run).parse().unwrap();
        let error = place.host.spawn(again).err().unwrap().to_string();
        assert!(error.contains(&format!("end them first (pid {})", earlier.pid())), "{error}");
        earlier.kill_tree().await;
    }
}
