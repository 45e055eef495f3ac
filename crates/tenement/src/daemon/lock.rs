//! The lock on the data directory. In it stand who has it, that one's keeper, and which file of which boot it is, so that a
//! copy of it says nothing.
//!
//! ```text
//!   free ─┬─────────────────────────► ours
//!         └ the keeper of the daemon that had it lives, and is not ours: it is about to start the next one, or to end:
//!           wait for that, 5 s at most ─► refused
//!   taken ─ its keeper lives ───────► refused
//!         ├ its owner is just gone ──┐
//!         └ its keeper is gone: ask it to leave ─► wait for it, 5 s at most
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
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

use crate::room;

/// What a daemon that was asked to leave has for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Locks don't tell when they are free.
const PAUSE: Duration = Duration::from_millis(10);

/// Who has the lock.
struct Owner {
    daemon: Option<Identity>,
    keeper: Option<Identity>,
    /// It was written here, and since this host was started.
    is_of_here: bool,
    /// The pid for people: of whom to stop.
    pid: String,
}

/// The lock, or the pid of who has it. Blocks for some seconds while another daemon leaves, which it is asked to by a daemon
/// alone: that has a `keeper`.
pub(super) fn take(path: &Path, keeper: Option<&Link>) -> io::Result<Result<File, String>> {
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let deadline = clock::now().after(PATIENCE);
    let (own_keeper, mut asked) = (keeper.and_then(Link::keeper), false);
    loop {
        let is_ours = is_locked(&file)?;
        let owner = Owner::read(&mut file)?;
        if is_ours {
            let other =
                owner.keeper.filter(|other| owner.is_of_here && other.lives() && Some(*other) != own_keeper);
            if other.is_none() {
                break;
            }
            // Its next daemon is not to be kept out.
            flock(&file, FlockOperation::Unlock)?;
            if clock::now() >= deadline {
                return Ok(Err(owner.pid));
            }
            thread::sleep(PAUSE);
            continue;
        }
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
    match stand_there(&mut file, keeper) {
        // Nobody else is let in all the same; only who it is nobody can read there, so that there is no upgrade.
        Err(error) if room::has_no_room(&error) && file.metadata()?.len() > 0 => {
            tracing::warn!(%error, "who has the data directory can't be written into its lock");
        }
        // Before anything else is written, so this tries the disk too.
        stands => stands?,
    }
    Ok(Ok(file))
}

fn stand_there(file: &mut File, keeper: Option<&Link>) -> io::Result<()> {
    let text = text(file, keeper)?;
    file.rewind()?;
    // In this order, so that somebody always stands there.
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)?;
    file.sync_all()
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

/// A daemon's keeper always stands there, as one that does not live if it is gone already.
fn text(file: &File, keeper: Option<&Link>) -> io::Result<String> {
    const NOBODY: &str = "0 0";
    let named = |link: &Link| link.keeper().map_or_else(|| NOBODY.to_owned(), |keeper| keeper.to_string());
    Ok(format!(
        "{}
{}
{}
",
        Identity::own()?,
        keeper.map(named).unwrap_or_default(),
        place(file)?
    ))
}

/// This very file, and this boot of the host.
fn place(file: &File) -> io::Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let found = file.metadata()?;
    Ok(format!("{} {}:{}", boot.trim(), found.dev(), found.ino()))
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
        let is_of_here = lines.next() == Some(place(file)?.as_str());
        let shown = keeper.filter(Identity::lives).or(daemon);
        let pid = shown.map_or_else(|| first.to_owned(), |shown| shown.pid.to_string());
        Ok(Self {
            daemon,
            keeper,
            is_of_here,
            pid: if pid.is_empty() { "not known yet".to_owned() } else { pid },
        })
    }
}
