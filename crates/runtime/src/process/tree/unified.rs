//! cgroup v2: the kernel ends the group at once (`cgroup.kill`).
//!
//! A process that was being forked at that moment has been seen to survive it, so the group is killed again as
//! long as it is not empty.

use std::{fs::File, io, time::Duration};

use tokio::io::Interest;

use super::{Group, Tree, wait_for};
use crate::event;

const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub(super) async fn kill(tree: &Tree, group: &Group) -> io::Result<()> {
    // Opened first: the group is empty a moment before its last process can be reaped.
    // Only to wait for: without descriptors for it, the kill comes all the same.
    let handles = tree.open_members().unwrap_or_default();
    match group.write("cgroup.kill", "1") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    }
    // The quick way; whoever survived keeps the group from being empty.
    if let Ok(waited) = tokio::time::timeout(LOOK_AGAIN, wait_for(&handles)).await {
        waited?;
    }
    kill_until_empty(group).await?;
    wait_for(&handles).await
}

/// Waits for `populated 0` in `cgroup.events`, whose change is an event.
async fn kill_until_empty(group: &Group) -> io::Result<()> {
    let events = match File::open(group.dir.join("cgroup.events")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => event::watch(file?.into(), Interest::PRIORITY)?,
    };
    let mut buffer = [0_u8; 256];
    loop {
        let read = rustix::io::pread(events.get_ref(), &mut buffer, 0)?;
        let text = String::from_utf8_lossy(&buffer[..read]);
        if text.lines().any(|line| line == "populated 0") {
            return Ok(());
        }
        match tokio::time::timeout(LOOK_AGAIN, events.ready(Interest::PRIORITY)).await {
            Ok(ready) => ready?.clear_ready(),
            Err(_) => match group.write("cgroup.kill", "1") {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                result => result?,
            },
        }
    }
}
