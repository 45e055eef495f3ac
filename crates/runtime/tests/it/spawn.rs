//! What a new process finds, and what is said when there is none.

use std::{collections::BTreeSet, fs, io, os::unix::fs::PermissionsExt};

use tenement_runtime::process::{AdoptError, Recovered, SpawnError};

use crate::support::{Place, STRATEGIES, state};

// faults: I13
#[tokio::test]
async fn nothing_is_inherited_but_the_declared_descriptors() {
    for strategy in STRATEGIES {
        let Some(place) = Place::new(strategy) else { continue };
        // Without close-on-exec, as a careless library would open it.
        let leak = fs::File::open("/dev/null").unwrap();
        rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
        let printed = place.output(place.launch(&["/bin/ls", "/proc/self/fd"])).await;
        // The fourth is what `ls` opened to read the folder.
        assert_eq!(printed.lines().collect::<Vec<_>>(), ["0", "1", "2", "3"], "{strategy:?}");
    }
}

#[tokio::test]
async fn a_listening_socket_is_descriptor_3_and_named_in_the_environment() {
    let place = Place::detect();
    let path = place.path("a.sock");
    let mut launch = place.shell("[ -S /dev/fd/3 ] && [ \"$LISTEN_PID\" = $$ ] && echo $LISTEN_FDS");
    launch.listen = Some(tenement_runtime::socket::listen(&path).unwrap());
    assert_eq!(place.output(launch).await, "1\n");
}

// faults: I14
#[tokio::test]
async fn the_environment_is_exactly_as_declared() {
    let place = Place::detect();
    let mut launch = place.launch(&["/usr/bin/env"]);
    launch.env = vec![("A".into(), "1".into()), ("B".into(), "two words\nand a line".into())];
    let printed = place.output(launch).await;
    let found: BTreeSet<&str> = printed.lines().filter(|line| !line.starts_with("TENEMENT_RUN=")).collect();
    assert_eq!(found, BTreeSet::from(["A=1", "B=two words", "and a line"]));
}

// faults: I14
#[tokio::test]
async fn no_signal_is_blocked_or_ignored() {
    let place = Place::detect();
    // Asked of itself: a shell blocks signals for moments while it waits for a child.
    let status = place.launch(&["/bin/grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"]);
    let printed = place.output(status).await;
    assert_eq!(printed, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

// faults: I14
#[tokio::test]
async fn umask_session_and_working_directory_are_its_own() {
    let place = Place::detect();
    let script = "umask; ps -o sid=,pgid= -p $$; echo $$; pwd";
    let printed = place.output(place.shell(script)).await;
    let lines: Vec<&str> = printed.lines().map(str::trim).collect();
    assert_eq!(lines[0], "0022");
    let ids: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(ids, [lines[2], lines[2]], "leads its session and group");
    assert_eq!(lines[3], fs::canonicalize(place.dir.path()).unwrap().to_string_lossy());
}

#[tokio::test]
async fn exits_are_told_apart() {
    let place = Place::detect();
    for (script, words) in [
        ("exit 0", "exited with code 0"),
        ("exit 3", "exited with code 3"),
        ("kill -9 $$", "killed by SIGKILL"),
    ] {
        let process = place.spawn(script);
        assert_eq!(process.exited().await.to_string(), words);
        process.kill_tree().await;
    }
}

// faults: C7
#[test]
fn each_reason_for_no_process_has_its_own_words() {
    let place = Place::detect();
    let file = |name: &str, text: &str, mode| {
        let path = place.path(name);
        io::Write::write_all(&mut fs::File::create(&path).unwrap(), text.as_bytes()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_string_lossy().into_owned()
    };
    let refused = |command: &str| match place.host.spawn(place.launch(&[command])) {
        Err(error) => error,
        Ok(_) => panic!("{command} was started"),
    };
    assert!(refused("/no/such/program").is_command_not_found());
    assert!(refused("no-such-program-anywhere").is_command_not_found());
    let script = file("script", "#!/no/such/interpreter\n", 0o755);
    let missing = refused(&script);
    assert!(matches!(missing, SpawnError::InterpreterMissing { .. }), "{missing}");
    assert!(missing.to_string().contains("/no/such/interpreter"));
    assert!(matches!(refused(&file("plain", "#!/bin/sh\n", 0o644)), SpawnError::NotExecutable { .. }));
    assert!(matches!(refused("/etc"), SpawnError::IsDirectory(_)));
    assert!(matches!(refused(&file("text", "\u{1}\u{2}", 0o755)), SpawnError::Format(_)));
    let mut nowhere = place.launch(&["/bin/true"]);
    nowhere.workdir = "/no/such/folder".into();
    assert!(matches!(place.host.spawn(nowhere), Err(SpawnError::Workdir { .. })));
}

// faults: C8
#[test]
fn an_environment_that_is_too_big_is_explained() {
    let place = Place::detect();
    let mut launch = place.launch(&["/bin/true"]);
    launch.env.push(("BIG".into(), "x".repeat(3 << 20)));
    let error = place.host.spawn(launch).err().unwrap();
    assert!(
        matches!(error, SpawnError::TooBig { .. }) && error.to_string().contains("shorten env"),
        "{error}"
    );
}

// faults: I11
#[tokio::test]
async fn only_the_very_process_is_adopted() {
    for strategy in STRATEGIES {
        let Some(place) = Place::new(strategy) else { continue };
        let process = place.spawn("exec sleep 1000");
        let Ok(Recovered::Running(adopted)) = place.host.recover(process.handle()) else {
            panic!("{strategy:?}: not taken on")
        };
        assert_eq!(adopted.pid(), process.pid());
        let mut later = process.handle().clone();
        later.start_time += 1;
        let stranger = place.host.recover(&later);
        assert!(matches!(stranger, Ok(Recovered::Ended(_))), "another process of the same number");
        let mut rebooted = process.handle().clone();
        rebooted.boot_id = "another".into();
        let other = place.host.recover(&rebooted);
        assert!(matches!(other, Err(AdoptError::OtherBoot)), "a process of another boot");
        assert!(place.host.unknown(&[process.handle().clone()]).unwrap().is_empty());
        assert!(process.try_exited().is_none());
        adopted.kill_tree().await;
        process.kill_tree().await;
        assert!(matches!(place.host.recover(process.handle()), Ok(Recovered::Ended(_))), "{strategy:?}");
    }
}

// faults: D1 D5
#[tokio::test]
async fn what_nobody_has_written_down_is_ended_with_all_that_it_started() {
    for strategy in STRATEGIES {
        let Some(place) = Place::new(strategy) else { continue };
        let process = place.spawn("setsid sleep 1000 & exec sleep 1000");
        while process.members().len() < 2 {
            tokio::task::yield_now().await;
        }
        let members = process.members();
        let unknown = place.host.unknown(&[]).unwrap();
        let [one] = &unknown[..] else { panic!("{strategy:?}: {unknown:?}") };
        let proof = one.proof.as_ref().unwrap_or_else(|| panic!("{strategy:?}: it says whose it is"));
        assert_eq!((&proof.handle, proof.started_by), (process.handle(), std::process::id()));
        place.host.end_unknown(&unknown).await.unwrap();
        process.exited().await;
        assert!(members.iter().all(|pid| state(*pid).is_none_or(|state| state == 'Z')), "{strategy:?}");
    }
}
