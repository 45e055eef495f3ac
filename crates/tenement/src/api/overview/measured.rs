//! What is measured every 10 s of every instance.

use tenement_core::name::InstanceName;

use super::{pace::PerSecond, row::Measured};
use crate::api::Api;

pub(super) fn latest(_api: &Api, _name: &InstanceName) -> Measured {
    Measured::default()
}

pub(super) fn pace(_api: &Api, _name: &InstanceName) -> PerSecond {
    PerSecond::default()
}

pub(super) fn spark(_api: &Api, _name: &InstanceName) -> Vec<f64> {
    Vec::new()
}
