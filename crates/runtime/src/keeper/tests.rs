use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
};

use tenement_core::time::WallMillis;

use super::{
    channel::{self, FDS_MAX, Sent},
    children::Exits,
    daemon::Daemon,
    held::Held,
    link::Link,
    protocol::{Ended, ToDaemon, ToKeeper, VERSION},
};
use crate::process::Status;

fn files(count: usize) -> Vec<OwnedFd> {
    (0..count).map(|_| File::open("/dev/null").unwrap().into()).collect()
}

fn ended(pid: u32) -> Ended {
    Ended::new(pid, 5, Status::Code(3), WallMillis(7))
}

/// Everything that has come by now.
fn all<M: serde::de::DeserializeOwned + Default>(end: &OwnedFd) -> Vec<(M, usize)> {
    let next = || channel::receive::<M>(end, false).ok().flatten();
    std::iter::from_fn(next).map(|(message, fds)| (message, fds.len())).collect()
}

#[test]
fn what_was_sent_before_the_end_is_received_also_when_the_other_side_read_nothing() {
    let (ours, theirs) = channel::pair().unwrap();
    channel::send(&ours, &ToDaemon::Begin, &[]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    channel::send(&theirs, &ToKeeper::Hold { name: "pipe".into(), more: false }, &[reader.as_fd()]);
    channel::send(&theirs, &ToKeeper::Ready, &[]);
    drop((theirs, reader));
    let (message, fds) = channel::receive::<ToKeeper>(&ours, false).unwrap().unwrap();
    assert_eq!(message, ToKeeper::Hold { name: "pipe".into(), more: false });
    writer.write_all(b"line").unwrap();
    drop(writer);
    let mut read = String::new();
    File::from(fds.into_iter().next().unwrap()).read_to_string(&mut read).unwrap();
    assert_eq!(read, "line");
    assert_eq!(all(&ours), [(ToKeeper::Ready, 0)]);
    assert!(channel::receive::<ToKeeper>(&ours, true).unwrap().is_none());
    assert_eq!(channel::send(&ours, &ToDaemon::Begin, &[]), Sent::Gone);
}

#[test]
fn a_daemon_is_given_everything_from_before_and_then_told_what_happens() {
    let (ours, theirs) = channel::pair().unwrap();
    let (mut held, mut exits) = (Held::default(), Exits::default());
    held.hold("listen:a".into(), false, files(FDS_MAX));
    held.hold("listen:a".into(), true, files(7));
    held.hold("pipes".into(), false, files(1));
    held.hold("pipes".into(), false, files(2));
    held.hold("gone".into(), false, files(1));
    held.drop("gone");
    exits.note(ended(9));
    let mut daemon = Daemon::over(ours, &held);
    daemon.send(&held, &exits);
    let given = |name: &str, more| ToDaemon::Held { name: name.into(), more };
    let wanted = [
        (ToDaemon::Hello { version: VERSION }, 0),
        (given("listen:a", false), FDS_MAX),
        (given("listen:a", true), 7),
        (given("pipes", false), 2),
        (ToDaemon::Exit(ended(9)), 0),
        (ToDaemon::Begin, 0),
    ];
    assert_eq!(all(&theirs), wanted);
    exits.note(ended(10));
    daemon.send(&held, &exits);
    assert_eq!(all(&theirs), [(ToDaemon::Exit(ended(10)), 0)]);
}

#[test]
fn a_daemon_that_does_not_listen_holds_nobody_up_and_misses_nothing() {
    const COUNT: usize = 5000;
    let (ours, theirs) = channel::pair().unwrap();
    let (held, mut exits) = (Held::default(), Exits::default());
    (0..COUNT as u32).for_each(|pid| exits.note(ended(pid)));
    let mut daemon = Daemon::over(ours, &held);
    let mut told = Vec::new();
    while told.len() < COUNT {
        daemon.send(&held, &exits);
        let received = all::<ToDaemon>(&theirs);
        assert!(!received.is_empty());
        told.extend(received.into_iter().filter_map(|(message, _)| match message {
            ToDaemon::Exit(ended) => Some(ended.pid),
            _ => None,
        }));
    }
    assert!(told.into_iter().eq(0..COUNT as u32));
}

#[test]
fn a_keeper_that_does_not_listen_holds_nobody_up_and_misses_nothing() {
    const COUNT: usize = 3000;
    let (ours, theirs) = channel::pair().unwrap();
    let link = Link::over(theirs).unwrap();
    for number in 0..COUNT {
        link.hold(&number.to_string(), &files(1));
    }
    link.hold("many", &files(FDS_MAX + 1));
    let mut names = Vec::new();
    while names.last().is_none_or(|name| name != "many+") {
        if let Some((ToKeeper::Hold { name, more }, fds)) = channel::receive(&ours, true).unwrap() {
            assert_eq!(fds.len(), if name == "many" && !more { FDS_MAX } else { 1 });
            names.push(if more { name + "+" } else { name });
        }
    }
    let wanted = (0..COUNT).map(|number| number.to_string()).chain(["many".into(), "many+".into()]);
    assert!(names.into_iter().eq(wanted));
    assert!(link.is_kept());
    drop(ours);
    assert!(!link.is_kept());
}

#[test]
fn without_a_keeper_nothing_happens() {
    let link = Link::default();
    link.hold("name", &files(1));
    link.ready();
    assert!(!link.is_kept() && link.keeper().is_none());
}
