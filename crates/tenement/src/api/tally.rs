//! How many instances there are of each status.

use serde::Serialize;
use tenement_core::view::Status;
use utoipa::ToSchema;

/// Instances by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InstancesByStatus)]
pub(super) struct Tally {
    total: usize,
    starting: usize,
    running: usize,
    restarting: usize,
    stopping: usize,
    stopped: usize,
    sleeping: usize,
    failed: usize,
}

impl Tally {
    /// One more.
    pub(super) fn add(&mut self, status: Status) {
        self.total += 1;
        *match status {
            Status::Starting => &mut self.starting,
            Status::Running => &mut self.running,
            Status::Restarting => &mut self.restarting,
            Status::Stopping => &mut self.stopping,
            Status::Stopped => &mut self.stopped,
            Status::Sleeping => &mut self.sleeping,
            Status::Failed => &mut self.failed,
        } += 1;
    }
}

impl FromIterator<Status> for Tally {
    fn from_iter<I: IntoIterator<Item = Status>>(statuses: I) -> Self {
        let mut tally = Self::default();
        statuses.into_iter().for_each(|status| tally.add(status));
        tally
    }
}
