//! What happens to logs becomes part of the history.

use std::sync::Arc;

use tenement_core::{
    history::{Cause, Transition},
    name::InstanceName,
    slot::RunId,
};
use tenement_logs::{DiskFull, Incident, Observer};
use tenement_runtime::clock;
use tenement_supervisor::{Observer as _, Supervisor};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::history::History;

/// Incidents that were not written down yet. There are few: each is told when it begins.
pub(super) struct Incidents(UnboundedReceiver<Incident>);

/// For the log store, and for [`Incidents::record`].
pub(super) fn channel() -> (Box<dyn Observer>, Incidents) {
    let (sender, receiver): (UnboundedSender<Incident>, _) = unbounded_channel();
    let observer = move |incident: &Incident| {
        // An error means that the daemon ends.
        let _ = sender.send(incident.clone());
    };
    (Box::new(observer), Incidents(receiver))
}

impl Incidents {
    /// Writes them down as they come.
    pub(super) async fn record(mut self, supervisor: Supervisor, history: Arc<History>) {
        while let Some(incident) = self.0.recv().await {
            let (name, cause, reason) = told(&incident);
            // One that is forgotten has no history any more.
            let Ok(view) = supervisor.get(name).await else { continue };
            history.changed(&Transition {
                at: clock::wall(),
                instance: name.clone(),
                run: RunId::default(),
                from: view.status,
                to: Some(view.status),
                health: view.health,
                cause,
                actor: None,
                reason: Some(reason),
                exit: None,
                lasted_ms: 0,
            });
        }
    }
}

/// Whom it is about, and what is said of it.
fn told(incident: &Incident) -> (&InstanceName, Cause, String) {
    match incident {
        Incident::RateLimited { instance, limit } => {
            let reason = format!("it writes more than log_rate_limit = {limit}/s: lines are left out");
            (instance, Cause::LogsOverRate, reason)
        }
        Incident::DiskFull { instance, policy } => {
            let then = match policy {
                DiskFull::DropOldest => "the oldest lines of the largest logs go",
                DiskFull::Wait => "who writes lines waits for room",
            };
            (instance, Cause::LogsDiskFull, format!("the disk has no room for logs: {then}"))
        }
        Incident::DiskHasRoom { instance, let_go } => {
            let reason = format!("the disk has room for logs again; {let_go} bytes of old lines went for it");
            (instance, Cause::LogsDiskRoom, reason)
        }
    }
}
