//! Waiting until an instance runs, as long as the caller wants to.

use std::time::{Duration, Instant};

use serde_json::Value;
use tenement_core::{name::InstanceName, time::seconds};
use tenement_runtime::clock;

use super::{
    Failure,
    client::{Client, Error},
    output,
};

/// Between two looks at an instance that is to become ready.
const LOOK: Duration = Duration::from_millis(100);

/// How long to wait; without an end where nobody set one.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    begun: Instant,
    within: Option<Duration>,
}

impl Deadline {
    pub(super) fn within(within: Option<Duration>) -> Self {
        Self { begun: clock::instant(), within }
    }

    /// What is left of it.
    pub(super) fn left(self) -> Option<Duration> {
        Some(self.within?.saturating_sub(self.begun.elapsed()))
    }

    fn check(self, name: &InstanceName) -> Result<(), Error> {
        match (self.left(), self.within) {
            (Some(Duration::ZERO), Some(within)) => Err(Error::TimedOut(format!(
                "{name} is not ready after {}; the daemon goes on with it: see 'ten ps'",
                seconds(within)
            ))),
            _ => Ok(()),
        }
    }
}

/// Where the API keeps an instance.
pub(super) fn path(name: &InstanceName) -> String {
    format!("/api/instances/{}/{}", name.service.as_str(), name.id.as_str())
}

/// The instance as it is when it runs.
pub(super) fn until_running(
    client: &Client,
    name: &InstanceName,
    deadline: Deadline,
) -> Result<Value, Failure> {
    loop {
        let view = client.get(&path(name))?;
        match view["status"].as_str().unwrap_or_default() {
            "running" => return Ok(view),
            status @ ("failed" | "stopped") => {
                let reason = Some(output::text(&view, "reason")).filter(|reason| !reason.is_empty());
                let reason = reason.unwrap_or_else(|| format!("it is {status}"));
                return Err(Failure::general(format!(
                    "{name} did not start: {reason}: see 'ten logs {name}'"
                )));
            }
            _ => deadline.check(name)?,
        }
        client.pause(LOOK)?;
    }
}
