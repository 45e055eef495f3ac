//! Commands by hand, and requests that wait.
//!
//! Commands to one instance are carried out one after another, each up to where its change is durable; a
//! command that comes meanwhile waits in the entry's queue.

use std::{collections::BTreeMap, sync::Arc};

use tenement_core::{
    config::{OnDemand, SOCKET_PATH_MAX, Service, same_socket},
    history::Actor,
    lifecycle::{Cause, Event, Stop},
    name::InstanceName,
    slot::RunId,
    view::{InstanceView, Status},
    wake::WakeRefusal,
};
use tenement_runtime::clock;
use tokio::sync::oneshot;

use super::{
    Engine,
    boot::new_record,
    entry::{Busy, Entry, Stage, Waiter},
    message::{Command, Message, News},
};
use crate::api::{CommandError, Desired, Leaving, Record, StopMode, StorageError};

type Reply<T> = oneshot::Sender<Result<T, CommandError>>;

impl Engine {
    pub(super) fn command(&mut self, name: &InstanceName, command: Command, actor: Option<Actor>) {
        if let Some(entry) = self.entries.get_mut(name).filter(|entry| entry.busy.is_some() || entry.leaving)
        {
            entry.queue.push_back((command, actor));
            return;
        }
        let known = self.entries.get_mut(name).map(|entry| entry.actor.clone_from(&actor));
        self.obey(name, command);
        if let (None, Some(entry)) = (known, self.entries.get_mut(name)) {
            entry.actor = actor;
        }
    }

    fn obey(&mut self, name: &InstanceName, command: Command) {
        match command {
            Command::Spawn { env, wait, again, reply } => match self.check_spawn(name, again) {
                Ok(service) => self.spawn(name, &service, env, Busy::Starting { wait, again, reply }),
                Err(error) => drop(reply.send(Err(error))),
            },
            Command::Stop { mode, reply } => self.stop(name, mode, reply),
            Command::Restart { reply } => self.restart(name, reply),
        }
    }

    fn check_spawn(&self, name: &InstanceName, again: bool) -> Result<Arc<Service>, CommandError> {
        if self.shutting_down {
            return Err(CommandError::ShuttingDown);
        }
        let service = self.config.services.get(&name.service);
        let service = service.ok_or_else(|| CommandError::UnknownService(name.service.clone()))?;
        match self.entries.get(name) {
            Some(entry) if !again && !entry.can_be_spawned() => {
                Err(CommandError::Conflict { name: name.clone(), status: entry.life.status() })
            }
            Some(_) => Ok(Arc::clone(service)),
            None => {
                self.check_room(name, service).map(|()| Arc::clone(service)).map_err(CommandError::Refused)
            }
        }
    }

    /// Whether a new instance fits: in number, and with its socket.
    fn check_room(&self, name: &InstanceName, service: &Service) -> Result<(), String> {
        let count = self.entries.keys().filter(|other| other.service == name.service).count();
        if count >= service.max_instances {
            return Err(format!(
                "service '{}' has {count} instances, as many as max_instances allows",
                name.service
            ));
        }
        let socket = self.socket_of(name, service);
        let length = socket.as_os_str().len();
        if length > SOCKET_PATH_MAX {
            return Err(format!(
                "the socket path of '{name}' has {length} bytes, {SOCKET_PATH_MAX} are possible: shorten 'socket' or 'data_dir'"
            ));
        }
        match self.holder(&socket) {
            Some(other) => Err(same_socket(name, other)),
            None => Ok(()),
        }
    }

    fn spawn(
        &mut self,
        name: &InstanceName,
        service: &Arc<Service>,
        env: Option<BTreeMap<String, String>>,
        busy: Busy,
    ) {
        if !self.entries.contains_key(name) {
            let entry = self.new_entry(new_record(name.clone()), service);
            self.entries.insert(name.clone(), entry);
        }
        let Some(entry) = self.entries.get_mut(name) else { return };
        let mut record = entry.record.clone();
        record.desired = Desired::Up;
        record.env = env.unwrap_or(record.env);
        entry.busy = Some(busy);
        self.save(name, record);
    }

    fn restart(&mut self, name: &InstanceName, reply: Reply<InstanceView>) {
        let error = match self.entries.get_mut(name).filter(|entry| entry.known) {
            _ if self.shutting_down => CommandError::ShuttingDown,
            Some(entry) => {
                let record = Record { desired: Desired::Up, ..entry.record.clone() };
                entry.busy = Some(Busy::Restarting { reply });
                return self.save(name, record);
            }
            None => CommandError::NotFound(name.clone()),
        };
        let _ = reply.send(Err(error));
    }

    fn stop(&mut self, name: &InstanceName, mode: StopMode, reply: Reply<()>) {
        let Some(entry) = self.entries.get_mut(name).filter(|entry| entry.known) else {
            if mode == StopMode::Purge {
                return self.erase_rest(name, reply);
            }
            let _ = reply.send(Err(CommandError::NotFound(name.clone())));
            return;
        };
        let record = Record { desired: Desired::Stopped, ..entry.record.clone() };
        let leaving = entry.leaving_by(mode);
        entry.busy = Some(Busy::Stopping { mode, reply, stage: Stage::Noting(leaving.clone()) });
        match leaving {
            None => self.save(name, record),
            Some(leaving) => self.note_leaving(leaving, record),
        }
    }

    /// Writes down that an instance goes, which makes its record this one; [`News::Saved`] follows.
    fn note_leaving(&mut self, leaving: Leaving, record: Record) {
        let (messages, registry) = (self.messages.clone(), Arc::clone(&self.registry));
        self.tasks.spawn_blocking(move || {
            let saved = registry.leave(&leaving).map(|()| record);
            let _ = messages.send(Message::News(leaving.name, News::Saved(saved)));
        });
    }

    /// Writes a record, unless it is certain that this is written already; [`News::Saved`] follows.
    pub(super) fn save(&mut self, name: &InstanceName, record: Record) {
        let messages = self.messages.clone();
        let registry = Arc::clone(&self.registry);
        let Some(entry) = self.entries.get(name) else { return };
        if entry.known && entry.written && entry.record == record {
            // Later, or commands that wait in a row would be carried out one within another.
            let _ = messages.send(Message::News(name.clone(), News::Saved(Ok(record))));
            return;
        }
        let name = name.clone();
        self.tasks.spawn_blocking(move || {
            let saved = registry.save(&record).map(|()| record);
            let _ = messages.send(Message::News(name, News::Saved(saved)));
        });
    }

    pub(super) fn saved(&mut self, name: &InstanceName, saved: Result<Record, StorageError>) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let Some(busy) = entry.busy.take() else { return };
        let error = match saved {
            Ok(record) => {
                (entry.record, entry.written) = (record, true);
                let new = !std::mem::replace(&mut entry.known, true);
                if new {
                    self.watchers.note(name);
                    self.publish(&name.service);
                }
                self.go_on(name, busy);
                return self.next_command(name);
            }
            Err(error) => {
                entry.written = false;
                CommandError::Storage(error)
            }
        };
        match busy {
            Busy::Starting { reply, .. } | Busy::Restarting { reply } => drop(reply.send(Err(error))),
            Busy::Stopping { reply, .. } => drop(reply.send(Err(error))),
        }
        if !entry.known {
            let queue = self.entries.remove(name).map(|entry| entry.queue).unwrap_or_default();
            queue.into_iter().for_each(|(command, actor)| self.command(name, command, actor));
            return;
        }
        self.next_command(name);
    }

    /// The rest of a command whose record is written.
    fn go_on(&mut self, name: &InstanceName, busy: Busy) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let event = match &busy {
            Busy::Starting { again: true, .. } if !entry.can_be_spawned() => Event::Restart,
            Busy::Starting { .. } => Event::Start(Cause::Hand),
            Busy::Restarting { .. } => Event::Restart,
            Busy::Stopping { .. } => return self.end(name, busy),
        };
        if let Busy::Starting { .. } = busy {
            entry.command_not_found = false;
        }
        self.step(name, event);
        let Some(entry) = self.entries.get_mut(name) else { return };
        match busy {
            Busy::Starting { reply, .. } if entry.life.is_at_rest() => {
                let gone = CommandError::UnknownService(name.service.clone());
                let why = if entry.leaving { gone } else { CommandError::ShuttingDown };
                drop(reply.send(Err(why)));
            }
            Busy::Starting { wait: true, reply, .. } if entry.life.up_since().is_none() => {
                entry.starters.push(reply);
            }
            Busy::Starting { reply, .. } => {
                let view = entry.view(clock::now());
                self.answer_noted(reply, view);
            }
            Busy::Restarting { reply } => {
                let view = InstanceView { status: Status::Restarting, ..entry.view(clock::now()) };
                self.answer_noted(reply, view);
            }
            Busy::Stopping { .. } => {}
        }
    }

    /// The rest of a stop that is written down.
    fn end(&mut self, name: &InstanceName, busy: Busy) {
        let (Busy::Stopping { mode, reply, stage: Stage::Noting(leaving) }, Some(entry)) =
            (busy, self.entries.get_mut(name))
        else {
            return;
        };
        // Its record can be another one while it goes.
        entry.written &= leaving.is_none();
        entry.busy = Some(Busy::Stopping { mode, reply, stage: Stage::Ending(leaving) });
        self.step(name, Event::Stop(stop_of(mode)));
    }

    /// Answers once the next daemon would know of it.
    fn answer_noted(&mut self, reply: Reply<InstanceView>, view: InstanceView) {
        let runs = Arc::clone(&self.runs);
        self.tasks.spawn_blocking(move || {
            runs.flush();
            let _ = reply.send(Ok(view));
        });
    }

    pub(super) fn next_command(&mut self, name: &InstanceName) {
        while let Some(entry) =
            self.entries.get_mut(name).filter(|entry| entry.busy.is_none() && !entry.leaving)
        {
            let Some((command, actor)) = entry.queue.pop_front() else { return };
            self.command(name, command, actor);
        }
    }

    pub(super) fn wake(
        &mut self,
        name: &InstanceName,
        failed: Option<RunId>,
        by: Option<String>,
        reply: oneshot::Sender<Result<(), WakeRefusal>>,
    ) {
        if let Err(refusal) = self.check_wake(name) {
            let _ = reply.send(Err(refusal));
            return;
        }
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.waiters.push(Waiter { failed, reply });
        entry.woken_by = by;
        self.step(name, Event::Wake { failed });
    }

    fn check_wake(&mut self, name: &InstanceName) -> Result<(), WakeRefusal> {
        let unavailable = |reason: &str, seconds| WakeRefusal::Unavailable {
            reason: reason.to_owned(),
            retry_after: std::time::Duration::from_secs(seconds),
        };
        if self.shutting_down {
            return Err(super::shutting_down());
        }
        let service = self.config.services.get(&name.service).cloned().ok_or(WakeRefusal::Unknown)?;
        if !self.entries.contains_key(name) {
            if service.on_demand != OnDemand::Any {
                return Err(WakeRefusal::Unknown);
            }
            if !self.newcomers.take(clock::now()) {
                return Err(unavailable("too many unknown instances are asked for", 1));
            }
            if let Err(reason) = self.check_room(name, &service) {
                tracing::warn!(instance = %name, reason, "not started on demand");
                return Err(unavailable("no more instances of this service can be started", 60));
            }
            let mut entry = self.new_entry(new_record(name.clone()), &service);
            entry.known = true;
            let record = entry.record.clone();
            self.entries.insert(name.clone(), entry);
            self.watchers.note(name);
            self.publish(&name.service);
            self.save_in_background(vec![record]);
        }
        let Some(entry) = self.entries.get_mut(name) else { return Err(WakeRefusal::Unknown) };
        if entry.leaving {
            return Err(unavailable("the instance is being ended", 1));
        }
        if entry.waiters.len() >= service.max_waiting {
            entry.waiters.retain(|waiter| !waiter.reply.is_closed());
        }
        if entry.waiters.len() >= service.max_waiting {
            return Err(unavailable("too many requests wait for the instance", 1));
        }
        Ok(())
    }
}

/// What a stop by hand is to the lifecycle.
pub(super) fn stop_of(mode: StopMode) -> Stop {
    match mode {
        StopMode::Keep => Stop::Keep,
        StopMode::Forget | StopMode::Purge => Stop::Forget,
    }
}

impl Entry {
    /// What goes of it with such a stop.
    pub(super) fn leaving_by(&self, mode: StopMode) -> Option<Leaving> {
        let logs = match mode {
            StopMode::Keep => return None,
            StopMode::Forget => false,
            StopMode::Purge => true,
        };
        let data = logs || !self.slot.service().storage_persist;
        Some(Leaving { name: self.record.name.clone(), data, logs })
    }

    /// The answer to those that asked for a start that failed.
    pub(super) fn start_failed(&self, reason: String) -> CommandError {
        CommandError::StartFailed {
            name: self.record.name.clone(),
            reason,
            command_not_found: self.command_not_found,
            timed_out: self.timed_out,
        }
    }
}
