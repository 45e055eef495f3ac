//! What an instance that is not known any more has left: its data and what it printed.

use std::sync::Arc;

use tenement_core::{layout, name::InstanceName, wake::WakeRefusal};
use tokio::sync::oneshot;

use super::{
    Engine,
    boot::new_record,
    entry::{Busy, Stage},
    message::{Message, News},
};
use crate::api::{CommandError, Desired, Leaving, Record, StopMode};

impl Engine {
    /// Erases it. Who spawns one of this name meanwhile waits.
    pub(super) fn erase_rest(
        &mut self,
        name: &InstanceName,
        reply: oneshot::Sender<Result<(), CommandError>>,
    ) {
        if layout::check_service(&name.service).is_err() {
            // What is there is the daemon's.
            let _ = reply.send(Err(CommandError::NotFound(name.clone())));
            return;
        }
        let (data, output, eraser) = (self.launcher.data_dir(name), Arc::clone(&self.output), self.eraser());
        let leaving = Leaving { name: name.clone(), data: true, logs: true };
        let erase = move || {
            if !output.keeps(&leaving.name) && data.symlink_metadata().is_err() {
                return Err(CommandError::NotFound(leaving.name));
            }
            eraser.erase(&leaving, None).map_err(CommandError::Storage)
        };
        let Some(service) = self.config.services.get(&name.service).cloned() else {
            // Nobody can spawn one. A record may wait for its service to come back.
            let known = self.reloading.aside.remove(name).is_some();
            let (registry, name) = (Arc::clone(&self.registry), name.clone());
            self.tasks.spawn_blocking(move || {
                let forget = || registry.forget(&name).map_err(CommandError::Storage);
                let forgotten = if known { forget() } else { Ok(()) };
                let erased = forgotten.and_then(|()| erase());
                let nothing = known && matches!(erased, Err(CommandError::NotFound(_)));
                drop(reply.send(if nothing { Ok(()) } else { erased }));
            });
            return;
        };
        // Nothing wakes it.
        let record = Record { desired: Desired::Stopped, ..new_record(name.clone()) };
        let mut entry = self.new_entry(record, &service);
        entry.busy = Some(Busy::Stopping { mode: StopMode::Purge, reply, stage: Stage::Erasing });
        self.entries.insert(name.clone(), entry);
        let (messages, name) = (self.messages.clone(), name.clone());
        self.tasks.spawn_blocking(move || {
            let _ = messages.send(Message::News(name, News::RestErased(erase())));
        });
    }

    pub(super) fn rest_erased(&mut self, name: &InstanceName, erased: Result<(), CommandError>) {
        let Some(mut entry) = self.entries.remove(name) else { return };
        entry.refuse(&WakeRefusal::Unknown);
        if let Some(Busy::Stopping { reply, .. }) = entry.busy.take() {
            let _ = reply.send(erased);
        }
        for (command, actor) in entry.queue {
            self.command(name, command, actor);
        }
    }
}
