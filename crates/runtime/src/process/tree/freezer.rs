//! cgroup v1: the group is frozen, so that no process can fork or leave, then each is killed and all are thawed.

use std::{fs, io, time::Duration};

use rustix::process::Signal;

use super::{Group, Tree, pidfd, wait_for};

pub(super) async fn kill(tree: &Tree, group: &Group) -> io::Result<()> {
    loop {
        if group.members().is_empty() {
            return Ok(());
        }
        freeze(group).await?;
        let handles = tree.open_members()?;
        for handle in &handles {
            pidfd::signal(handle, Signal::KILL);
        }
        // A signal that was sent stays pending; the processes meet it the moment they are thawed.
        group.write("freezer.state", "THAWED")?;
        wait_for(&handles).await?;
    }
}

/// A process in uninterruptible sleep does not freeze; then what can be killed is killed.
async fn freeze(group: &Group) -> io::Result<()> {
    const STEP: Duration = Duration::from_millis(1);
    const STEPS: u32 = 200;
    for _ in 0..STEPS {
        group.write("freezer.state", "FROZEN")?;
        if fs::read_to_string(group.dir.join("freezer.state"))?.trim() == "FROZEN" {
            return Ok(());
        }
        tokio::time::sleep(STEP).await;
    }
    Ok(())
}
