//! The lock on the data directory. In it stand who has it and that one's keeper.
//!
//! ```text
//!   free ───────────────────────────► ours
//!   taken ─ its keeper lives ───────► refused
//!         ├ its owner is just gone ──┐
//!         └ its keeper is gone: ask it to leave ─► wait for it, 5 s at most
//! ```

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    thread,
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use tenement_runtime::{
    clock,
    keeper::{Identity, Link},
};

/// What a daemon that was asked to leave has for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Locks don't tell when they are free.
const PAUSE: Duration = Duration::from_millis(10);

/// Who has the lock.
struct Owner {
    daemon: Option<Identity>,
    keeper: Option<Identity>,
    /// The pid for people: of whom to stop.
    pid: String,
}

/// The lock, or the pid of who has it. Blocks for some seconds while another daemon leaves, which it is asked to by a daemon
/// alone: that has a `keeper`.
pub(super) fn take(path: &Path, keeper: Option<&Link>) -> io::Result<Result<File, String>> {
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let deadline = clock::now().after(PATIENCE);
    let mut asked = false;
    while !is_locked(&file)? {
        let owner = Owner::read(&mut file)?;
        let Some(daemon) = owner.daemon.filter(|_| clock::now() < deadline) else {
            return Ok(Err(owner.pid));
        };
        if daemon.lives() {
            if keeper.is_none() || owner.keeper.is_none_or(|keeper| keeper.lives()) {
                return Ok(Err(owner.pid));
            }
            if !std::mem::replace(&mut asked, true) {
                tracing::info!(pid = daemon.pid, "taking over from a daemon whose keeper is gone");
                // One that is gone meanwhile has left.
                let _ = daemon.ask_to_leave();
            }
        }
        thread::sleep(PAUSE);
    }
    // Before anything else is written, so this tries the disk too.
    let text = text(keeper)?;
    file.rewind()?;
    // In this order, so that somebody always stands there.
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)?;
    file.sync_all()?;
    Ok(Ok(file))
}

/// The keeper of the daemon that has the lock.
pub(super) fn keeper_of(path: &Path) -> Option<Identity> {
    Owner::read(&mut File::open(path).ok()?).ok()?.keeper
}

/// Tries to lock it.
fn is_locked(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        // Such as a file system without locks.
        Err(error) => Err(error.into()),
    }
}

fn text(keeper: Option<&Link>) -> io::Result<String> {
    let keeper = keeper.and_then(Link::keeper).map_or_else(String::new, |keeper| format!("{keeper}\n"));
    Ok(format!("{}\n{keeper}", Identity::own()?))
}

impl Owner {
    /// It may be about to write it, or of a release that wrote its pid alone.
    fn read(file: &mut File) -> io::Result<Self> {
        let mut text = String::new();
        file.rewind()?;
        file.read_to_string(&mut text)?;
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let (daemon, keeper) = (first.parse().ok(), lines.next().and_then(|line| line.parse().ok()));
        let shown = keeper.filter(Identity::lives).or(daemon);
        let pid = shown.map_or_else(|| first.to_owned(), |shown| shown.pid.to_string());
        Ok(Self { daemon, keeper, pid: if pid.is_empty() { "not known yet".to_owned() } else { pid } })
    }
}
