//! What is new since the last look, from counters that only grow.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
    time::Duration,
};

use tenement_core::{
    name::InstanceName,
    route::RouteTable,
    slot::{Slot, StatusClass},
    time::Millis,
};
use tenement_runtime::process::Usage;

use super::{
    files::News,
    ring::COARSE,
    sample::{self, BUCKETS, Sample},
};

/// What an instance's processes use, and the first of them.
pub(super) type Used = BTreeMap<InstanceName, (u32, Usage)>;

/// When a look is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The beginning of the interval of 10 s that it is for, in seconds since the Unix epoch.
    pub(super) at: u32,
    /// On the monotonic clock.
    pub(super) now: Millis,
    /// The interval is over; if not, it is looked at again.
    pub(super) over: bool,
}

/// What was there at the last look.
#[derive(Debug)]
pub(super) struct Round {
    /// When the last interval was over, or this daemon began.
    since: Millis,
    /// Whether there was a look before: what has no process of then was started since.
    looked: bool,
    before: HashMap<InstanceName, Before>,
}

#[derive(Debug)]
struct Before {
    slot: Weak<Slot>,
    errors: u64,
    durations: [u64; BUCKETS],
    cpu: Option<Cpu>,
    /// The five minutes that something was written of and that are not over.
    five_minutes: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Cpu {
    pid: u32,
    time: Duration,
    at: Millis,
}

impl Round {
    /// Begins now; what is counted begins with it.
    pub(super) fn begin(now: Millis) -> Self {
        Self { since: now, looked: false, before: HashMap::new() }
    }

    /// What is to be written of whom.
    pub(super) fn look(
        &mut self,
        moment: Moment,
        routes: &RouteTable,
        used: &Used,
    ) -> Vec<(Arc<Slot>, News)> {
        let mut news = Vec::new();
        for slot in routes.services().flat_map(|service| service.slots()) {
            let new = self.of(slot, moment, used.get(slot.name()));
            if new.sample.is_some() || new.over.is_some() {
                news.push((Arc::clone(slot), new));
            }
        }
        if moment.over {
            self.since = moment.now;
        }
        self.looked = true;
        self.before.retain(|name, before| {
            routes.slot(name).is_some_and(|slot| std::ptr::eq(Arc::as_ptr(slot), before.slot.as_ptr()))
        });
        news
    }

    fn of(&mut self, slot: &Arc<Slot>, moment: Moment, used: Option<&(u32, Usage)>) -> News {
        let tally = slot.traffic.tally();
        let answered = |counts: &[u64; BUCKETS]| counts.iter().sum::<u64>();
        let is_this = |before: &&mut Before| std::ptr::eq(before.slot.as_ptr(), Arc::as_ptr(slot));
        let before = self.before.get_mut(slot.name()).filter(is_this);
        let had = before.as_ref().map_or(0, |before| answered(&before.durations));
        let five_minutes = COARSE.start_of(moment.at);
        if used.is_none() && answered(&tally.durations.counts) == had {
            let Some(before) = before else { return News::default() };
            before.cpu = None;
            let over = before.five_minutes.take_if(|at| *at != five_minutes);
            return News { over, ..News::default() };
        }
        let first = before.is_none();
        let fresh = || Before {
            slot: Arc::downgrade(slot),
            errors: 0,
            durations: [0; BUCKETS],
            cpu: None,
            five_minutes: None,
        };
        if first {
            self.before.insert(slot.name().clone(), fresh());
        }
        let Some(before) = self.before.get_mut(slot.name()) else { return News::default() };
        let (since, looked) = (self.since, self.looked);
        let cpu = used.and_then(|(pid, used)| before.cpu(*pid, used.cpu_time, moment, since, looked));
        let errors = tally.responses[StatusClass::ServerError as usize];
        let counts: [u64; BUCKETS] = std::array::from_fn(|bucket| {
            tally.durations.counts[bucket].saturating_sub(before.durations[bucket])
        });
        let sample = Sample {
            at: moment.at,
            span: u16::try_from(moment.now.since(since).as_millis() / 100).unwrap_or(u16::MAX).max(1),
            requests: saturated(answered(&counts)),
            errors: saturated(errors.saturating_sub(before.errors)),
            memory: used.map(|(_, used)| used.memory_bytes / 1024),
            cpu,
            p50: sample::quantile(&counts, 0.5),
            p95: sample::quantile(&counts, 0.95),
        };
        if moment.over {
            (before.errors, before.durations) = (errors, tally.durations.counts);
        }
        let over = before.five_minutes.replace(five_minutes).filter(|at| *at != five_minutes);
        News { sample: Some(sample), over, first }
    }
}

impl Before {
    /// In tenths of a percent of one core. Nothing of a process that ran before this daemon did, at the first look, and
    /// nothing when there is less than before: without cgroups what a process used goes with it, so that it is not known
    /// what the others used since.
    fn cpu(&mut self, pid: u32, time: Duration, moment: Moment, since: Millis, looked: bool) -> Option<u64> {
        let last = self.cpu.filter(|last| last.pid == pid);
        let (spent, window) = match last {
            Some(last) => (time.checked_sub(last.time), moment.now.since(last.at)),
            None if looked => (Some(time), moment.now.since(since)),
            None => (None, Duration::ZERO),
        };
        if moment.over || last.is_none() || spent.is_none() {
            self.cpu = Some(Cpu { pid, time, at: moment.now });
        }
        let share = spent?.as_secs_f64() / window.as_secs_f64();
        (!window.is_zero()).then_some((share * 1000.0).round() as u64)
    }
}

fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
