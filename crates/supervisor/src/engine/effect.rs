//! Carrying out what the lifecycle says.

use std::sync::Arc;

use tenement_core::{
    config::launch_text,
    lifecycle::{Effect, Event, Lifecycle},
    name::InstanceName,
    slot::RunId,
    wake::WakeRefusal,
};
use tenement_runtime::clock;

use super::{
    Engine,
    entry::{Busy, Launched},
    message::{Message, News},
};
use crate::{
    api::{CommandError, Desired, Leaving, Record, StopMode, StorageError},
    check::Question,
    launch::Order,
};

/// Lines of its log that the answer to a failed start shows.
const LAST_LINES: usize = 10;

impl Engine {
    pub(super) fn carry_out(&mut self, name: &InstanceName, effect: Effect) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        match effect {
            Effect::RequestPermit => self.permits.request(name.clone()),
            Effect::ReleasePermit => self.permits.release(name),
            Effect::Launch(run) => self.launch(name, run),
            Effect::Terminate(_) => {
                if let Some(process) = entry.process.clone() {
                    // Without cgroups it looks through all processes of the host.
                    self.tasks.spawn_blocking(move || process.terminate());
                }
            }
            Effect::Kill(run) => self.kill(name, run),
            Effect::Open(_) => {
                if let Some(upstream) = entry.upstream.clone() {
                    entry.slot.traffic.touch(clock::now());
                    entry.slot.open(upstream);
                }
                *self.totals.starts.entry(name.service.clone()).or_default() += 1;
            }
            Effect::Reopen(_) => {
                if let Some(upstream) = entry.upstream.clone() {
                    entry.slot.open(upstream);
                }
            }
            Effect::Await(run) => self.wait_on(name, run),
            Effect::CloseIfIdle => {
                let closed = entry.slot.close_if_idle();
                // Before any other event, so that nothing happens between the door and the decision.
                self.agenda.push_front((name.clone(), Event::DoorClosed(closed)));
            }
            Effect::Close => entry.slot.close(),
            Effect::Admit { run, doubters } => {
                entry.admit(run, doubters);
                let view = Ok(entry.view(clock::now()));
                entry.answer_starters(&view);
            }
            Effect::Refuse(refusal) => self.refuse(name, &refusal),
            Effect::Set { timer, generation, at } => self.set_timer(name, timer, generation, at),
            Effect::Check(run) => self.check(name, run),
            Effect::Forgotten => {}
        }
    }

    fn launch(&mut self, name: &InstanceName, run: RunId) {
        self.settle_socket(name);
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.upstream = None;
        entry.exit = None;
        entry.ended_by = None;
        let order = Order {
            run,
            service: Arc::clone(&entry.slot.service()),
            record: entry.record.clone(),
            socket: entry.socket.clone(),
        };
        let service = Arc::clone(&order.service);
        entry.launched = Some(Launched { text: launch_text(&service), service: Some(service) });
        let launcher = Arc::clone(&self.launcher);
        let messages = self.messages.clone();
        self.tasks.spawn(async move { launcher.launch(order, &messages).await });
    }

    /// Ends the tree, takes what is left of its output, and only then says that it is gone.
    fn kill(&mut self, name: &InstanceName, run: RunId) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let Some(process) = entry.process.clone() else { return };
        let output = Arc::clone(&self.output);
        let messages = self.messages.clone();
        let name = name.clone();
        self.tasks.spawn(async move {
            process.kill_tree().await;
            output.detach(&name, run).await;
            let _ = messages.send(Message::News(name, News::Event(Event::Gone(run))));
        });
    }

    fn refuse(&mut self, name: &InstanceName, refusal: &WakeRefusal) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.refuse(refusal);
        if !entry.starters.is_empty() {
            entry.start_error = Some(match refusal {
                WakeRefusal::Unknown => "it was deleted meanwhile".to_owned(),
                WakeRefusal::Unavailable { reason, .. } | WakeRefusal::Failed { reason, .. } => {
                    reason.clone()
                }
            });
        }
    }

    /// Tells those that asked for a start that it failed, once nothing of it is left.
    fn answer_failed_start(&mut self, name: &InstanceName) {
        let Some(entry) = self.entries.get_mut(name).filter(|entry| entry.process.is_none()) else { return };
        let Some(reason) = entry.start_error.take() else { return };
        let error = entry.start_failed(reason);
        let starters = std::mem::take(&mut entry.starters);
        let output = Arc::clone(&self.output);
        let name = name.clone();
        self.tasks.spawn_blocking(move || {
            let error = with_last_lines(error, &output.last_lines(&name, LAST_LINES));
            for starter in starters {
                let _ = starter.send(Err(error.clone()));
            }
        });
    }

    fn check(&mut self, name: &InstanceName, run: RunId) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let service = entry.slot.service();
        let (Some(upstream), Some(path)) = (&entry.upstream, &service.health) else { return };
        let question = Question {
            upstream: upstream.clone(),
            host: self.launcher.host_name(name),
            path: path.clone(),
            timeout: service.health_timeout,
        };
        self.rounds.add((name.clone(), run), question);
    }

    /// What follows from where an instance has arrived.
    pub(super) fn after_step(&mut self, name: &InstanceName) {
        self.answer_failed_start(name);
        let Some(entry) = self.entries.get_mut(name) else { return };
        if !entry.life.is_at_rest() {
            return;
        }
        let forgotten = entry.life.is_forgotten();
        let (mode, record) = match &mut entry.busy {
            Some(Busy::Stopping { mode, writing, .. }) if !*writing => {
                *writing = true;
                (*mode, Record { desired: Desired::Stopped, ..entry.record.clone() })
            }
            _ => return,
        };
        if mode == StopMode::Keep && !forgotten {
            return self.save(name, record);
        }
        let purge = mode == StopMode::Purge;
        let data = purge || !entry.slot.service().storage_persist;
        let leaving = Leaving { name: name.clone(), data, logs: purge };
        let socket = entry.socket.clone();
        let (eraser, messages, runs) = (self.eraser(), self.messages.clone(), Arc::clone(&self.runs));
        self.tasks.spawn_blocking(move || {
            // Until that is written down the next daemon would not know how far it is to go.
            runs.flush();
            let erased = eraser.erase(&leaving, Some(&socket));
            let _ = messages.send(Message::News(leaving.name, News::Erased(erased)));
        });
    }

    /// What could not be forgotten stays, stopped: until somebody starts or deletes it, or the next start of the daemon
    /// erases the rest.
    fn unforgotten(&mut self, name: &InstanceName, error: StorageError) {
        let before = self.runs_from();
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.written = false;
        entry.life = Lifecycle::stopped(before);
        self.watchers.note(name);
        if let Some(Busy::Stopping { reply, .. }) = entry.busy.take() {
            let _ = reply.send(Err(CommandError::Storage(error)));
        }
        self.next_command(name);
    }

    pub(super) fn erased(&mut self, name: &InstanceName, erased: Result<(), StorageError>) {
        if let Err(error) = erased {
            return self.unforgotten(name, error);
        }
        let Some(mut entry) = self.entries.remove(name) else { return };
        self.watchers.note(name);
        entry.slot.close();
        entry.refuse(&WakeRefusal::Unknown);
        // A service's counters never go back.
        self.counts.entry(name.service.clone()).or_default().retired.add(&entry.slot.traffic.tally());
        self.publish(&name.service);
        if let Some(Busy::Stopping { reply, .. }) = entry.busy.take() {
            let _ = reply.send(Ok(()));
        }
        for (command, actor) in entry.queue {
            self.command(name, command, actor);
        }
    }
}

fn with_last_lines(error: CommandError, lines: &[String]) -> CommandError {
    match error {
        CommandError::StartFailed { name, reason, command_not_found, timed_out } if !lines.is_empty() => {
            let reason = format!("{reason}; its last lines:\n{}", lines.join("\n"));
            CommandError::StartFailed { name, reason, command_not_found, timed_out }
        }
        error => error,
    }
}
