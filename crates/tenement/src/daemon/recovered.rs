//! What was found to be lost at the start is written down and told.

use tenement_core::{
    history::{Cause, Transition},
    slot::RunId,
    view::{Health, Status},
};
use tenement_runtime::clock;
use tenement_supervisor::{Desired, Observer, Record};

use crate::store::{Loss, Store, StoreError};

/// Writes down what was lost of files beside the state: what was found, and those that are not there any more. `were_there`:
/// the names of those that are to be there, and whether they were before they were opened.
pub(super) fn note(
    store: &Store,
    losses: impl Iterator<Item = Loss>,
    were_there: &[(&str, bool)],
) -> Result<(), StoreError> {
    losses.for_each(|loss| store.note(loss));
    for (name, was_there) in were_there {
        if !was_there && store.was_made(name)? {
            let what = format!("{name} is not there any more, and begins anew");
            tracing::error!("{what}");
            store.note(Loss { at: clock::wall(), what, file: None });
        }
        if let Err(error) = store.set_made(name) {
            // It is noted at the next start.
            tracing::warn!(%error, name, "that it is there could not be noted");
        }
    }
    Ok(())
}

/// Writes down that records of what was running could not be read.
pub(super) fn note_refused(store: &Store, refused: &[String]) {
    if refused.is_empty() {
        return;
    }
    let what = format!(
        "{} of what was running can't be read and are left out: {}",
        if refused.len() == 1 { "a record".to_owned() } else { format!("{} records", refused.len()) },
        refused.join(", ")
    );
    store.note(Loss { at: clock::wall(), what, file: None });
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
