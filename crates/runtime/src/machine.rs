//! What the whole machine uses.

use std::{io, path::Path, time::Duration};

use rustix::fs::statvfs;

use crate::process::read_proc;

/// What the kernel says of the machine at one moment. What can't be read is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Machine {
    /// Processors that are on line.
    pub cores: u32,
    /// What they have done since the machine was started.
    pub cpu: CpuTime,
    /// Processes that run or wait for a processor or a disk, on average over the last 1, 5 and 15 minutes:
    /// `proc_loadavg(5)`.
    pub load: [f64; 3],
    /// Memory the kernel has, in bytes.
    pub memory_total: u64,
    /// What of it can be had without swapping, an estimate of the kernel's, in bytes: `proc_meminfo(5)`.
    pub memory_available: u64,
}

/// Time of all processors together since the machine was started, from `proc_stat(5)`. Counters: a share is that of two
/// looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// Spent on something; what a hypervisor gave to others is not among it.
    pub busy: Duration,
    /// All that passed, idle too.
    pub total: Duration,
}

/// A file system, in bytes: `statvfs(3)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// As large as it is.
    pub total: u64,
    /// What is taken.
    pub used: u64,
    /// What those may still take who are not root.
    pub available: u64,
}

impl CpuTime {
    /// The share of all processors that was busy since an earlier look, in percent from 0 to 100. 0 when no time has
    /// passed.
    #[must_use]
    pub fn percent_since(&self, earlier: &Self) -> f64 {
        // Idle time may go back a little, says the man page.
        let total = self.total.saturating_sub(earlier.total).as_secs_f64();
        let busy = self.busy.saturating_sub(earlier.busy).as_secs_f64();
        if total > 0.0 { (busy / total * 100.0).min(100.0) } else { 0.0 }
    }
}

/// Looks at the machine. Reads three files of `/proc`, which takes some 100 µs.
#[must_use]
pub fn look() -> Machine {
    let text = |path: &str| read_proc(path).map(|text| String::from_utf8_lossy(&text).into_owned());
    let (stat, load, memory) = (text("/proc/stat"), text("/proc/loadavg"), text("/proc/meminfo"));
    let (cores, cpu) = cpu(&stat.unwrap_or_default());
    let (memory_total, memory_available) = memory_of(&memory.unwrap_or_default());
    Machine { cores, cpu, load: load_of(&load.unwrap_or_default()), memory_total, memory_available }
}

/// The file system that `path` is on. May block for as long as that file system does not answer.
///
/// # Errors
/// As `statvfs(3)`.
pub fn disk(path: &Path) -> io::Result<Disk> {
    let found = statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok(Disk {
        total: bytes(found.f_blocks),
        used: bytes(found.f_blocks.saturating_sub(found.f_bfree)),
        available: bytes(found.f_bavail),
    })
}

/// `user nice system idle iowait irq softirq steal guest guest_nice`, in clock ticks. Guests are in `user` already.
fn cpu(stat: &str) -> (u32, CpuTime) {
    let cores = stat.lines().filter(|line| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()))
    });
    let cores = u32::try_from(cores.count()).unwrap_or(u32::MAX);
    let all = stat.lines().find_map(|line| line.strip_prefix("cpu "));
    let ticks: Vec<u64> = all
        .into_iter()
        .flat_map(str::split_ascii_whitespace)
        .take(8)
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    let field = |index: usize| ticks.get(index).copied().unwrap_or(0);
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let time = |ticks: u64| Duration::from_micros(ticks.saturating_mul(1_000_000) / per_second);
    let (idle, stolen) = (field(3) + field(4), field(7));
    let total: u64 = ticks.iter().sum();
    (cores, CpuTime { busy: time(total.saturating_sub(idle + stolen)), total: time(total) })
}

fn load_of(text: &str) -> [f64; 3] {
    let mut fields = text.split_ascii_whitespace();
    std::array::from_fn(|_| fields.next().and_then(|field| field.parse().ok()).unwrap_or(0.0))
}

/// Total and available, in bytes.
fn memory_of(text: &str) -> (u64, u64) {
    let field = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        rest.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib.saturating_mul(1024))
    };
    // Kernels before 3.14 and some sandboxes don't estimate it.
    let rough =
        || ["MemFree", "Buffers", "Cached"].into_iter().filter_map(field).fold(0, u64::saturating_add);
    (field("MemTotal").unwrap_or(0), field("MemAvailable").unwrap_or_else(rough))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_something_of_everything() {
        let machine = look();
        assert!(machine.cores >= 1, "{machine:?}");
        assert!(machine.cpu.total > Duration::ZERO && machine.cpu.busy <= machine.cpu.total, "{machine:?}");
        assert!(machine.memory_total > machine.memory_available, "{machine:?}");
        assert!(machine.memory_available > 0, "{machine:?}");
        let disk = disk(Path::new("/proc/self/root/")).unwrap();
        assert!(disk.total >= disk.used && disk.total >= disk.available && disk.total > 0, "{disk:?}");
        assert!(super::disk(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn time_is_that_of_all_processors_without_what_others_had() {
        let ticks = rustix::param::clock_ticks_per_second();
        let stat = format!(
            "cpu  {0} {0} {0} {1} {0} 0 {0} {0} {0} 0\ncpu0 1 2 3\ncpu1 4 5 6\ncpufreq 1\nintr 5\n",
            ticks,
            10 * ticks
        );
        let (cores, before) = cpu(&stat);
        assert_eq!(cores, 2);
        assert_eq!((before.busy.as_secs(), before.total.as_secs()), (4, 16));
        let second = Duration::from_secs(1);
        let after = CpuTime { busy: before.busy + second, total: before.total + 4 * second };
        assert!((after.percent_since(&before) - 25.0).abs() < 1e-9);
        assert!((before.percent_since(&after)).abs() < 1e-9 && before.percent_since(&before).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_there_is_nothing() {
        assert_eq!(cpu("nonsense"), (0, CpuTime::default()));
        assert_eq!(cpu("cpu x y").1, CpuTime::default());
        assert_eq!(load_of("0.50 1 x 1/2 3"), [0.5, 1.0, 0.0]);
        assert_eq!(memory_of("MemTotal:   8 kB\nMemAvailable:    3 kB\nMemFree: 1 kB\n"), (8 << 10, 3 << 10));
        assert_eq!(memory_of("MemTotal: 8 kB\nMemFree: 1 kB\nCached: 2 kB\n"), (8 << 10, 3 << 10));
        assert_eq!(memory_of(""), (0, 0));
    }
}
