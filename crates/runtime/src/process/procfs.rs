//! What `/proc` says of a process (`proc_pid_stat(5)`).

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::buffer::spare_capacity;

/// What is read at a time.
const ROOM: usize = 8 << 10;

/// The fields of `/proc/<pid>/stat` that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: u8,
    pub(crate) parent: u32,
    pub(crate) session: u32,
    /// User and system time in clock ticks: its own, not that of children it waited for.
    pub(crate) ticks: u64,
    /// In clock ticks since boot: with the pid it names a process for good.
    pub(crate) start_time: u64,
    pub(crate) rss_pages: u64,
}

impl Stat {
    pub(crate) fn read(pid: u32) -> io::Result<Self> {
        let text = read(format!("/proc/{pid}/stat"))?;
        Self::parse(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// The command name stands in parentheses and may hold anything, so what counts is the last one.
    fn parse(text: &[u8]) -> Option<Self> {
        let end = text.iter().rposition(|&b| b == b')')?;
        let rest = std::str::from_utf8(&text[end + 1..]).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|f| f.parse::<u64>().ok());
        let small = |index: usize| fields.get(index).and_then(|f| f.parse::<u32>().ok());
        Some(Self {
            state: *fields.first()?.as_bytes().first()?,
            parent: small(1)?,
            session: small(3)?,
            ticks: number(11)? + number(12)?,
            start_time: number(19)?,
            rss_pages: number(21)?,
        })
    }

    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    pub(crate) fn cpu_time(&self) -> Duration {
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        Duration::from_micros(self.ticks.saturating_mul(1_000_000) / per_second)
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.rss_pages.saturating_mul(rustix::param::page_size() as u64)
    }
}

/// A file of the kernel's, whose size is not known before it is read. Room is made at once: the text is made anew for
/// each read. Of every instance some are read every few seconds, so the file is not asked what the library would ask it.
pub(crate) fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    let mut text = Vec::with_capacity(ROOM);
    while rustix::io::retry_on_intr(|| rustix::io::read(&file, spare_capacity(&mut text)))? > 0 {
        text.reserve(ROOM);
    }
    Ok(text)
}

/// The same, as text.
pub(crate) fn text(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Every pid in `/proc`.
pub(crate) fn all_pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The id of this boot: a pid and a start time of another boot say nothing.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The group of a process in one hierarchy of `/proc/<pid>/cgroup`; `controller` is empty for cgroup v2.
pub(crate) fn cgroup_of(pid: u32, controller: &str) -> Option<PathBuf> {
    parse_cgroup(&text(format!("/proc/{pid}/cgroup")).ok()?, controller)
}

pub(crate) fn parse_cgroup(text: &str, controller: &str) -> Option<PathBuf> {
    text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let matches = if controller.is_empty() {
            id == "0" && controllers.is_empty()
        } else {
            controllers.split(',').any(|c| c == controller)
        };
        matches.then(|| PathBuf::from(path))
    })
}

/// How many processes the out-of-memory killer has ended on this host since boot.
pub(crate) fn oom_kills() -> Option<u64> {
    text("/proc/vmstat").ok()?.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_survives_a_hostile_command_name() {
        let line = b"42 (a) Z 1 (x) S 7 42 40 0 -1 0 0 0 0 0 3 4 0 0 20 0 1 0 999 1000 25 0";
        let stat = Stat::parse(line).expect("parses");
        assert_eq!((stat.state, stat.parent, stat.session), (b'S', 7, 40));
        assert_eq!((stat.ticks, stat.start_time, stat.rss_pages), (7, 999, 25));
        assert_eq!(Stat::parse(b"garbage"), None);
    }

    #[test]
    fn cgroup_lines_of_both_versions() {
        let text = "6:freezer:/a\n4:cpu,cpuacct:/b\n0::/c:d\n";
        assert_eq!(parse_cgroup(text, ""), Some("/c:d".into()));
        assert_eq!(parse_cgroup(text, "cpuacct"), Some("/b".into()));
        assert_eq!(parse_cgroup(text, "memory"), None);
    }
}
