//! One cgroup of one instance, and where such groups go.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::Strategy;
use crate::process::procfs;

/// A mounted hierarchy, and our place in it.
#[derive(Clone, Debug)]
pub(crate) struct Hierarchy {
    /// The directory that holds one group per instance.
    pub(crate) root: PathBuf,
    /// The same as `/proc/<pid>/cgroup` names it.
    name: PathBuf,
    /// Empty for cgroup v2.
    controller: &'static str,
}

impl Hierarchy {
    /// Makes `<our own group>/<folder>` in the hierarchy of `controller` (empty: cgroup v2).
    ///
    /// # Errors
    /// There is no such hierarchy, or it is not ours to write.
    pub(crate) fn create(controller: &'static str, folder: &str) -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let own = procfs::cgroup_of(std::process::id(), controller).ok_or(io::ErrorKind::NotFound)?;
        let (point, visible) = find_mount(&mounts, controller).ok_or(io::ErrorKind::NotFound)?;
        let inside = own.strip_prefix(&visible).map_err(|_| io::ErrorKind::NotFound)?;
        let (root, name) = (point.join(inside).join(folder), own.join(folder));
        match fs::create_dir(&root) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(Self { root, name, controller }),
        }
    }

    /// Shows that a group can be made and ended here.
    ///
    /// # Errors
    /// It can't, by permission or for an old kernel.
    pub(crate) fn probe(&self, strategy: Strategy) -> io::Result<()> {
        let group = self.group(&format!("probe:{}", std::process::id()))?;
        let file = if strategy == Strategy::Unified { "cgroup.kill" } else { "freezer.state" };
        let kills = fs::OpenOptions::new().write(true).open(group.dir.join(file)).map(drop);
        let enters = fs::OpenOptions::new().write(true).open(group.dir.join("cgroup.procs")).map(drop);
        group.remove();
        kills.and(enters)
    }

    /// Controllers that the groups of instances have.
    pub(crate) fn controllers(&self) -> Vec<String> {
        let text = fs::read_to_string(self.root.join("cgroup.subtree_control")).unwrap_or_default();
        text.split_ascii_whitespace().map(str::to_owned).collect()
    }

    /// A group for a new run.
    ///
    /// # Errors
    /// There is one that still holds processes, which a daemon that was killed left behind: two at a time would
    /// share their data.
    pub(crate) fn group(&self, name: &str) -> io::Result<Group> {
        let group = self.named(name);
        match fs::create_dir(&group.dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let members = group.members();
        if members.is_empty() {
            return Ok(group);
        }
        let pids: Vec<_> = members.iter().map(u32::to_string).collect();
        let words =
            format!("processes of an earlier run are still there: end them first (pid {})", pids.join(", "));
        Err(io::Error::new(io::ErrorKind::AlreadyExists, words))
    }

    /// The group of that name in `root`.
    pub(crate) fn named(&self, name: &str) -> Group {
        Group { dir: self.root.join(name), name: self.name.join(name), controller: self.controller }
    }

    /// Removes the groups that hold nothing, and then our own.
    pub(crate) fn remove(&self) {
        remove_empty(&self.root, 8);
    }
}

/// Mount point and visible part of the hierarchy with that controller (`proc_pid_mountinfo(5)`).
fn find_mount(mountinfo: &str, controller: &str) -> Option<(PathBuf, PathBuf)> {
    mountinfo.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.nth(1)?);
        let matches = if controller.is_empty() {
            kind == "cgroup2"
        } else {
            kind == "cgroup" && options.split(',').any(|option| option == controller)
        };
        let mut left = left.split(' ').skip(3);
        let (visible, point) = (left.next()?, left.next()?);
        matches.then(|| (PathBuf::from(point), PathBuf::from(visible)))
    })
}

/// The group of one run.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) dir: PathBuf,
    name: PathBuf,
    controller: &'static str,
}

impl Group {
    /// The living processes of the group and of the groups that they made in it.
    pub(crate) fn members(&self) -> Vec<u32> {
        let mut members = Vec::new();
        collect(&self.dir, 8, &mut members);
        members
    }

    pub(crate) fn holds(&self, pid: u32) -> bool {
        procfs::cgroup_of(pid, self.controller).is_some_and(|name| name.starts_with(&self.name))
    }

    /// Writes one of the group's files. It must exist, and is not truncated.
    pub(crate) fn write(&self, file: &str, text: &str) -> io::Result<()> {
        io::Write::write_all(
            &mut fs::OpenOptions::new().write(true).open(self.dir.join(file))?,
            text.as_bytes(),
        )
    }

    /// Processor time of all processes that ever were in it, if the kernel counts it for this group.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        let text = procfs::text(self.dir.join("cpu.stat")).ok()?;
        let micros = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?.trim().parse().ok()?;
        Some(Duration::from_micros(micros))
    }

    /// Memory charged to the group, if it has a memory controller.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        procfs::text(self.dir.join("memory.current")).ok()?.trim().parse().ok()
    }

    /// How many of its processes the out-of-memory killer ended, if it has a memory controller.
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        // The first one is cgroup v2's, the second v1's.
        let texts =
            ["memory.events", "memory.oom_control"].map(|file| fs::read_to_string(self.dir.join(file)));
        let text = texts.into_iter().find_map(Result::ok)?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    }

    /// Removes the group; one that still holds a process stays.
    pub(crate) fn remove(&self) {
        remove_empty(&self.dir, 8);
    }
}

fn collect(dir: &Path, depth: u32, members: &mut Vec<u32>) {
    if let Ok(text) = procfs::text(dir.join("cgroup.procs")) {
        // 0 stands for a process of another pid namespace, which can't be named here.
        members.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|&pid| pid != 0));
    }
    if depth > 0 {
        for child in subgroups(dir) {
            collect(&child, depth - 1, members);
        }
    }
}

/// A directory's link count tells whether it has subdirectories, so that a listing is made only then.
fn subgroups(dir: &Path) -> Vec<PathBuf> {
    if fs::metadata(dir).is_ok_and(|meta| std::os::unix::fs::MetadataExt::nlink(&meta) == 2) {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}

fn remove_empty(dir: &Path, depth: u32) {
    if depth > 0 {
        for child in subgroups(dir) {
            remove_empty(&child, depth - 1);
        }
    }
    if let Err(error) = fs::remove_dir(dir)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(%error, dir = %dir.display(), "group not removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_mount_of_a_controller() {
        let text = "30 25 0:26 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n\
                    31 25 0:27 /pod /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(find_mount(text, ""), Some(("/sys/fs/cgroup/unified".into(), "/pod".into())));
        assert_eq!(find_mount(text, "freezer"), Some(("/sys/fs/cgroup/freezer".into(), "/".into())));
        assert_eq!(find_mount(text, "memory"), None);
    }
}
