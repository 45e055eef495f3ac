//! Carrying out what the lifecycle says.

use std::sync::Arc;

use tenement_core::{
    config::launch_text,
    lifecycle::{Effect, Event, Lifecycle},
    name::InstanceName,
    slot::RunId,
    view::Status,
    wake::WakeRefusal,
};
use tenement_runtime::clock;

use super::{
    Engine,
    entry::{Busy, Launched, Stage},
    leaving::Eraser,
    message::{Message, News},
};
use crate::{
    api::{CommandError, StopMode, StorageError},
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
        let stopped = entry.life.status() == Status::Stopped;
        if !stopped && !entry.life.is_forgotten() {
            return;
        }
        let Some(Busy::Stopping { mode, stage: stage @ Stage::Ending(_), .. }) = &mut entry.busy else {
            return;
        };
        let mode = *mode;
        let Stage::Ending(noted) = std::mem::replace(stage, Stage::Erasing) else { return };
        if stopped {
            return self.stopped(name);
        }
        let is_noted = noted.is_some();
        let mode = if mode == StopMode::Keep { StopMode::Forget } else { mode };
        let Some(leaving) = noted.or_else(|| entry.leaving_by(mode)) else { return };
        let (socket, eraser, messages) = (entry.socket.clone(), self.eraser(), self.messages.clone());
        self.tasks.spawn_blocking(move || {
            let erase = if is_noted { Eraser::finish } else { Eraser::erase };
            let erased = erase(&eraser, &leaving, Some(&socket));
            let _ = messages.send(Message::News(leaving.name, News::Erased(erased)));
        });
    }

    /// One that was to be kept is at rest, as its record says already.
    fn stopped(&mut self, name: &InstanceName) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        if let Some(Busy::Stopping { reply, .. }) = entry.busy.take() {
            let _ = reply.send(Ok(()));
        }
        self.next_command(name);
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
