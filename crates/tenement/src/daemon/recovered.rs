//! What was found to be lost at the start is written down and told.

use tenement_core::{
    history::{Cause, Transition},
    slot::RunId,
    view::{Health, Status},
};
use tenement_supervisor::{Desired, Observer, Record};

use crate::store::{Loss, Store};

/// Writes down losses that others found.
pub(super) fn note(store: &Store, losses: impl Iterator<Item = Loss>) {
    for loss in losses {
        if let Err(error) = store.note(&loss) {
            tracing::error!(%error, "not written down: {}", loss.what);
        }
    }
}

/// An event of each instance whose record was in a database that was damaged.
pub(super) fn tell(store: &Store, records: &[Record], observer: &dyn Observer) {
    let Some(loss) = store.found() else { return };
    for record in records {
        let status = match record.desired {
            Desired::Up => Status::Sleeping,
            Desired::Stopped => Status::Stopped,
        };
        observer.changed(&Transition {
            at: loss.at,
            instance: record.name.clone(),
            run: RunId::default(),
            from: status,
            to: Some(status),
            health: Health::Unknown,
            cause: Cause::Boot,
            actor: None,
            reason: Some(loss.what.clone()),
            exit: None,
            lasted_ms: 0,
        });
    }
}
