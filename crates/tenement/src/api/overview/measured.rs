//! What is measured every 10 s of every instance, whether somebody reads or not.

use tenement_core::{name::InstanceName, time::Millis};

use super::{
    pace::PerSecond,
    row::{Measured, tenth},
};
use crate::{api::Api, samples::INTERVAL};

/// Of an instance that is what it is since `since`: nothing of before that.
pub(super) fn latest(api: &Api, name: &InstanceName, since: Millis) -> Measured {
    let sample = api.rings.latest(name).filter(|latest| latest.until > since).map(|latest| latest.sample);
    Measured {
        memory_mb: sample.and_then(|sample| sample.memory_mb()).map(tenth),
        cpu_percent: sample.and_then(|sample| sample.cpu_percent()).map(tenth),
    }
}

/// What it had to do in the last interval, as it was at `now`.
pub(super) fn pace(api: &Api, name: &InstanceName, now: Millis) -> PerSecond {
    let latest = api.rings.latest(name).filter(|latest| now.since(latest.until) < INTERVAL);
    latest.map_or_else(PerSecond::default, |latest| PerSecond {
        requests: latest.sample.requests_per_second(),
        errors: latest.sample.errors_per_second(),
    })
}

pub(super) fn spark(api: &Api, name: &InstanceName) -> Vec<f64> {
    api.rings.spark(name).into_iter().map(|per_second| tenth(per_second.into())).collect()
}
