//! What is measured every 10 s of every instance, whether somebody reads or not.

use tenement_core::name::InstanceName;

use super::{
    pace::PerSecond,
    row::{Measured, tenth},
};
use crate::{api::Api, samples::Sample};

/// Milliseconds of an interval that is measured.
const INTERVAL: u64 = 10_000;

/// Of an instance that is what it is since `since`, in milliseconds since 1970: nothing of before that.
pub(super) fn latest(api: &Api, name: &InstanceName, since: u64) -> Measured {
    let sample = api.rings.latest(name).filter(|sample| ends(sample) > since);
    Measured {
        memory_mb: sample.and_then(|sample| sample.memory_mb()).map(tenth),
        cpu_percent: sample.and_then(|sample| sample.cpu_percent()).map(tenth),
    }
}

fn ends(sample: &Sample) -> u64 {
    u64::from(sample.at) * 1000 + INTERVAL
}

/// What it had to do in the last interval, as it was at `now`, in milliseconds since 1970.
pub(super) fn pace(api: &Api, name: &InstanceName, now: u64) -> PerSecond {
    let sample = api.rings.latest(name).filter(|sample| ends(sample) + INTERVAL > now);
    sample.map_or_else(PerSecond::default, |sample| PerSecond {
        requests: sample.requests_per_second(),
        errors: sample.errors_per_second(),
    })
}

pub(super) fn spark(api: &Api, name: &InstanceName) -> Vec<f64> {
    api.rings.spark(name).into_iter().map(|per_second| tenth(per_second.into())).collect()
}
