//! Every family with its series: per service, or per instance for those who may see them.

use std::collections::BTreeMap;

use tenement_core::{
    config::Config,
    history::ExitCause,
    name::{InstanceName, ServiceName},
    route::RouteTable,
    slot::{DURATION_BUCKETS_US, StatusClass, Tally, WAKE_BUCKETS_US, WakeStage},
    view::{CheckCounts, InstanceView, Status},
};
use tenement_logs::{DiskStats, Stats, damage_met};
use tenement_runtime::{own::OwnUsage, process::Usage};
use tenement_supervisor::Totals;

use super::{
    Detail,
    logs::Taken,
    names,
    text::{Labels, Text},
};
use crate::sinks::Seen;

/// What a series is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    service: ServiceName,
    /// `service:id`.
    instance: Option<String>,
}

impl Key {
    fn of(name: &InstanceName) -> Self {
        Self { service: name.service.clone(), instance: Some(name.to_string()) }
    }

    fn service(service: &ServiceName) -> Self {
        Self { service: service.clone(), instance: None }
    }

    /// Its labels, and one more.
    fn with<'l>(&'l self, more: Option<(&'l str, &'l str)>) -> Vec<(&'l str, &'l str)> {
        let service = [("service", self.service.as_str())];
        let instance = self.instance.as_deref().map(|instance| ("instance", instance));
        service.into_iter().chain(instance).chain(more).collect()
    }
}

/// What instances were started, and how they ended.
pub(super) fn starts(text: &mut Text, config: &Config, totals: &Totals, views: &[InstanceView]) {
    text.single(&names::INSTANCES_TOTAL, totals.starts.values().sum::<u64>());
    text.family(&names::KNOWN_INSTANCES);
    let mut known: BTreeMap<_, u64> = BTreeMap::new();
    for view in views {
        *known.entry((&view.name.service, view.status.as_str())).or_default() += 1;
    }
    for service in config.services.keys() {
        for status in Status::ALL.iter().map(|status| status.as_str()) {
            let count = known.get(&(service, status)).copied().unwrap_or(0);
            text.sample(&[("service", service.as_str()), ("status", status)], count);
        }
    }
    for (family, counts) in [
        (&names::SERVICE_STARTS, &totals.starts),
        (&names::SERVICE_FAILED_STARTS, &totals.failed_starts),
        (&names::SERVICE_RESTARTS, &totals.restarts),
    ] {
        text.family(family);
        for service in config.services.keys() {
            text.sample(&[("service", service.as_str())], counts.get(service).copied().unwrap_or(0));
        }
    }
    text.family(&names::EXITS);
    for service in config.services.keys() {
        let exits = totals.exits.get(service);
        for cause in ExitCause::ALL {
            let count = exits.and_then(|exits| exits.get(&cause)).copied().unwrap_or(0);
            text.sample(&[("service", service.as_str()), ("cause", cause.as_str())], count);
        }
    }
}

/// How long wakes took.
pub(super) fn wakes(text: &mut Text, routes: &RouteTable) {
    text.family(&names::WAKE_DURATION);
    let services: BTreeMap<_, _> = routes.services().map(|one| (&one.service().name, one.counts())).collect();
    for (service, counts) in services {
        for stage in WakeStage::ALL {
            let labels = [("service", service.as_str()), ("stage", stage.as_str())];
            text.histogram(&labels, &WAKE_BUCKETS_US, &counts.wakes.snapshot(stage));
        }
    }
}

/// Results of health checks.
pub(super) fn checks(
    text: &mut Text,
    config: &Config,
    totals: &Totals,
    views: &[InstanceView],
    detail: &Detail,
) {
    text.family(&names::HEALTH_CHECKS);
    let mut both = |key: &Key, CheckCounts { passed, failed }: CheckCounts| {
        text.sample(&key.with(Some(("result", "passed"))), passed);
        text.sample(&key.with(Some(("result", "failed"))), failed);
    };
    if let Detail::Services = detail {
        for service in config.services.keys() {
            both(&Key::service(service), totals.checks.get(service).copied().unwrap_or_default());
        }
        return;
    }
    for view in views.iter().filter(|view| detail.shows(&view.name)) {
        both(&Key::of(&view.name), view.checks);
    }
}

/// What was asked of instances and answered.
pub(super) fn requests(text: &mut Text, routes: &RouteTable, detail: &Detail) {
    let mut series: BTreeMap<Key, (Tally, u64)> = BTreeMap::new();
    for service in routes.services() {
        let whole = (service.counts().retired, 0);
        if let Detail::Services = detail {
            series.insert(Key::service(&service.service().name), whole);
        }
        for slot in service.slots() {
            let key = match detail {
                Detail::Services => Key::service(&slot.name().service),
                _ if detail.shows(slot.name()) => Key::of(slot.name()),
                _ => continue,
            };
            let (tally, in_flight) = series.entry(key).or_default();
            tally.add(&slot.traffic.tally());
            *in_flight += u64::from(slot.in_flight());
        }
    }
    text.family(&names::REQUESTS);
    for (key, (tally, _)) in &series {
        for (class, count) in StatusClass::ALL.iter().zip(tally.responses) {
            text.sample(&key.with(Some(("class", class.as_str()))), count);
        }
    }
    text.family(&names::REQUEST_DURATION);
    for (key, (tally, _)) in &series {
        text.histogram(&key.with(None), &DURATION_BUCKETS_US, &tally.durations);
    }
    text.family(&names::IN_FLIGHT);
    for (key, (_, in_flight)) in &series {
        text.sample(&key.with(None), *in_flight);
    }
    text.family(&names::BYTES_IN);
    for (key, (tally, _)) in &series {
        text.sample(&key.with(None), tally.bytes_in);
    }
    text.family(&names::BYTES_OUT);
    for (key, (tally, _)) in &series {
        text.sample(&key.with(None), tally.bytes_out);
    }
    text.family(&names::WEBSOCKETS_CUT);
    for (key, (tally, _)) in &series {
        text.sample(&key.with(None), tally.cut_off);
    }
}

/// What each instance uses. `used` has those that run.
pub(super) fn usage(
    text: &mut Text,
    views: &[InstanceView],
    used: &BTreeMap<InstanceName, Usage>,
    detail: &Detail,
) {
    let shown: Vec<_> = views.iter().filter(|view| detail.shows(&view.name)).collect();
    let used = |view: &InstanceView| used.get(&view.name).copied().unwrap_or_default();
    text.family(&names::INSTANCE_MEMORY);
    for view in &shown {
        text.sample(&Key::of(&view.name).with(None), used(view).memory_bytes);
    }
    text.family(&names::INSTANCE_CPU);
    for view in &shown {
        text.sample(&Key::of(&view.name).with(None), used(view).cpu_time.as_secs_f64());
    }
    text.family(&names::INSTANCE_RESTARTS);
    for view in &shown {
        text.sample(&Key::of(&view.name).with(None), view.restart_count);
    }
}

/// What instances printed.
pub(super) fn logs(text: &mut Text, taken: &BTreeMap<ServiceName, Taken>, stats: &Stats, disk: DiskStats) {
    let mut each = |family, of: fn(&Taken) -> u64| {
        text.family(family);
        for (service, taken) in taken {
            let labels: &Labels<'_> = &[("service", service.as_str())];
            text.sample(labels, of(taken));
        }
    };
    each(&names::LOG_LINES, |taken| taken.lines);
    each(&names::LOG_BYTES, |taken| taken.bytes);
    each(&names::LOG_DROPPED, |taken| taken.dropped);
    each(&names::LOG_LEFT_OUT, |taken| taken.left_out);
    each(&names::LOG_WRITE_ERRORS, |taken| taken.write_errors);
    text.single(&names::LOG_DISK_FULL, u64::from(disk.full));
    text.single(&names::LOG_DISK_FULL_LET_GO, disk.let_go);
    text.single(&names::LOG_DAMAGED, damage_met());
    text.single(&names::LOG_UNINDEXED, stats.values().map(|stats| stats.unindexed).sum::<u64>());
    text.single(&names::LOG_STORED, stats.values().map(|stats| stats.bytes).sum::<u64>());
}

/// What goes out.
pub(super) fn sinks(text: &mut Text, sinks: &[Seen]) {
    let mut each = |family, of: fn(&Seen) -> u64| {
        text.family(family);
        for sink in sinks {
            let mut labels = vec![("sink", sink.name.as_str())];
            labels.extend(sink.service.as_ref().map(|service| ("service", service.as_str())));
            text.sample(&labels, of(sink));
        }
    };
    each(&names::SINK_LINES, |sink| sink.lines);
    each(&names::SINK_REFUSED, |sink| sink.refused);
    each(&names::SINK_DROPPED, |sink| sink.dropped);
    each(&names::SINK_RETRIES, |sink| sink.retries);
    each(&names::SINK_LAG, |sink| sink.waiting);
}

/// What was asked of the API.
pub(super) fn api(text: &mut Text, answered: impl Fn(StatusClass) -> u64, rate_limited: u64) {
    text.family(&names::API_REQUESTS);
    for class in StatusClass::ALL {
        text.sample(&[("class", class.as_str())], answered(class));
    }
    text.single(&names::API_RATE_LIMITED, rate_limited);
}

/// The daemon itself.
pub(super) fn daemon(text: &mut Text, own: &OwnUsage, started_ms: u64, panics: u64, losses: usize) {
    text.single(&names::STATE_LOSSES, losses as u64);
    text.single(&names::PANICS, panics);
    text.single(&names::PROCESS_CPU, own.cpu_time.as_secs_f64());
    text.single(&names::PROCESS_MEMORY, own.resident_bytes);
    text.single(&names::PROCESS_OPEN_FDS, own.open_fds);
    text.single(&names::PROCESS_MAX_FDS, own.max_fds.map_or(f64::INFINITY, |max| max as f64));
    text.single(&names::PROCESS_START, started_ms as f64 / 1e3);
}
