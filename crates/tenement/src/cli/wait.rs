//! Waiting until an instance runs, as long as the caller wants to.

use std::time::{Duration, Instant};

use serde_json::Value;
use tenement_core::{name::InstanceName, time::seconds};
use tenement_runtime::clock;

use super::{
    EXIT_FAILURE, Failure,
    client::{Client, Error},
    failure::EXIT_TIMEOUT,
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
            (Some(Duration::ZERO), Some(within)) => Err(Error::TimedOut(not_ready(name, within))),
            _ => Ok(()),
        }
    }
}

/// It took longer than the caller wanted to wait.
pub(super) fn not_ready(name: &InstanceName, within: Duration) -> String {
    format!("Instance '{name}' was not ready within {}; the daemon goes on: see 'ten ps'", seconds(within))
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
                // The words of a start that took longer than the service's startup_timeout.
                let code = if reason.starts_with("not ready within") { EXIT_TIMEOUT } else { EXIT_FAILURE };
                let message = format!("{name} did not start: {reason}: see 'ten logs {name}'");
                return Err(Failure { code, message });
            }
            _ => deadline.check(name)?,
        }
        client.pause(LOOK)?;
    }
}
