//! What the whole machine does, beside its instances.

use std::time::{Duration, Instant};

use serde::Serialize;
use tenement_runtime::{
    clock,
    machine::{self, CpuTime, Disk},
    own,
};
use utoipa::ToSchema;

use super::row::{Line, tenth};
use crate::api::{instances::mebibytes, tally::Tally};

/// Sums over the instances a reader sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = OverviewSums)]
pub(super) struct Sums {
    instances: Tally,
    /// Over the last 10 s.
    requests_per_second: f64,
    /// Answers of 500 and above per second, over the last 10 s.
    errors_per_second: f64,
    #[serde(skip)]
    memory_mb: f64,
}

/// The daemon itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = OverviewDaemon)]
struct Daemon {
    pid: u32,
    /// MiB that are resident.
    memory_mb: f64,
    /// Of one core, since the last look.
    cpu_percent: f64,
    /// Milliseconds since it was started.
    uptime_ms: u64,
}

/// The machine as a whole: all of it, or nothing for tokens that are bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = OverviewHost)]
pub(super) struct Host {
    /// Processors that are on line.
    #[schema(required = false)]
    cores: u32,
    /// Of all of them together, since the last look.
    #[schema(required = false)]
    cpu_percent: f64,
    /// Processes that run or wait, on average over 1, 5 and 15 minutes.
    #[schema(required = false)]
    load: [f64; 3],
    /// MiB that can't be had without swapping.
    #[schema(required = false)]
    memory_mb: f64,
    /// MiB that the kernel has.
    #[schema(required = false)]
    memory_total_mb: f64,
    /// MiB that are taken of the file system of the data directory; null when it does not say.
    #[schema(required = false)]
    disk_mb: Option<f64>,
    /// MiB of that file system as a whole; null when it does not say.
    #[schema(required = false)]
    disk_total_mb: Option<f64>,
    /// MiB of the process trees of all instances.
    #[schema(required = false)]
    instances_memory_mb: f64,
    #[schema(required = false)]
    daemon: Daemon,
}

/// The machine, or of it what belongs to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = OverviewMachine)]
pub(super) struct Machine {
    #[serde(flatten)]
    #[schema(value_type = Host)]
    pub(super) host: Option<Host>,
    #[serde(flatten)]
    pub(super) sums: Sums,
}

impl Sums {
    pub(super) fn of<'l>(lines: impl Iterator<Item = &'l Line>) -> Self {
        let mut sums = Self::default();
        for line in lines {
            let per_second = line.per_second();
            sums.instances.add(line.status());
            sums.requests_per_second += per_second.requests;
            sums.errors_per_second += per_second.errors;
            sums.memory_mb += line.memory_mb();
        }
        sums.requests_per_second = tenth(sums.requests_per_second);
        sums.errors_per_second = tenth(sums.errors_per_second);
        sums
    }
}

/// Shares of a shorter time are noise: processor time is counted in ticks of 10 ms.
const WINDOW_MIN: Duration = Duration::from_secs(1);

/// Looks at the machine again and again.
#[derive(Debug)]
pub(super) struct Looks {
    cpu: CpuTime,
    own: Duration,
    at: Instant,
    /// What was told last, in percent.
    told: Shares,
}

/// In percent, with one decimal.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Shares {
    /// Of all processors together.
    machine: f64,
    /// Of one core.
    daemon: f64,
}

impl Default for Looks {
    /// What is told first is over the time since this.
    fn default() -> Self {
        let cpu = machine::look().cpu;
        Self { cpu, own: own::load().cpu_time, at: clock::instant(), told: Shares::default() }
    }
}

impl Looks {
    /// `disk`: that of the data directory, if it answered.
    pub(super) fn look(&mut self, disk: Option<Disk>, uptime: Duration, sums: &Sums) -> Host {
        let (now, own) = (machine::look(), own::load());
        let shares = self.shares(clock::instant(), now.cpu, own.cpu_time);
        Host {
            cores: now.cores,
            cpu_percent: shares.machine,
            load: now.load,
            memory_mb: mebibytes(now.memory_total.saturating_sub(now.memory_available)),
            memory_total_mb: mebibytes(now.memory_total),
            disk_mb: disk.map(|disk| mebibytes(disk.used)),
            disk_total_mb: disk.map(|disk| mebibytes(disk.total)),
            instances_memory_mb: tenth(sums.memory_mb),
            daemon: Daemon {
                pid: std::process::id(),
                memory_mb: mebibytes(own.resident_bytes),
                cpu_percent: shares.daemon,
                uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
            },
        }
    }

    /// Since the last look; what was told then, if that was just now.
    fn shares(&mut self, at: Instant, cpu: CpuTime, own: Duration) -> Shares {
        let passed = at.saturating_duration_since(self.at);
        if passed >= WINDOW_MIN {
            let spent = own.saturating_sub(self.own);
            self.told = Shares {
                machine: tenth(cpu.percent_since(&self.cpu)),
                daemon: tenth(spent.as_secs_f64() / passed.as_secs_f64() * 100.0),
            };
            (self.at, self.cpu, self.own) = (at, cpu, own);
        }
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_right_after_another_says_what_that_said() {
        let (start, second) = (clock::instant(), Duration::from_secs(1));
        let cpu = |busy: u64| CpuTime { busy: Duration::from_millis(busy), total: Duration::from_secs(100) };
        let own = Duration::from_millis;
        let mut looks =
            Looks { cpu: CpuTime::default(), own: Duration::ZERO, at: start, told: Shares::default() };
        let first = looks.shares(start + Duration::from_micros(3), cpu(100_000), own(10));
        assert_eq!(first, Shares::default(), "a tick within microseconds is no storm");
        let told = looks.shares(start + 2 * second, cpu(25_000), own(500));
        assert_eq!(told, Shares { machine: 25.0, daemon: 25.0 });
        assert_eq!(looks.shares(start + 2 * second + second / 2, cpu(100_000), own(990)), told);
        assert_eq!(looks.shares(start + 3 * second, cpu(25_000), own(1000)).daemon, 50.0);
    }
}
