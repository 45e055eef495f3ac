//! The lives of before go on.

use std::sync::Arc;

use tenement_core::{
    lifecycle::{Event, Found, Lifecycle},
    name::InstanceName,
    slot::{Address, Opened, RunId, Upstream},
    view::Status,
};
use tenement_runtime::{listener::Listener, process::Process};
use tokio::sync::oneshot;

use super::{
    Engine,
    command::stop_of,
    entry::{Busy, Entry, Launched, Stage},
};
use crate::{
    api::{Desired, Leaving, StopMode},
    launch::{Order, ended_as},
    recover::{Left, Life, Run, Survivor},
};

impl Engine {
    /// Brings an entry to where its instance was. Without anything remembered it is left as it is, and that is told.
    pub(super) fn resume(&mut self, name: &InstanceName, survivor: Survivor) -> bool {
        let Survivor { life, found, leaving } = survivor;
        if life.is_none() && found.is_none() && leaving.is_none() {
            return false;
        }
        let Some(entry) = self.entries.get_mut(name) else { return false };
        let (mut address, mut purge) = (None, false);
        if let Some(life) = life {
            let Life { state, since, last_active, last_check, address: accepted, record: _, purge: erases } =
                life;
            purge = erases;
            address = accepted;
            (entry.life, entry.since, entry.last_check) = (state, since, last_check);
            entry.slot.traffic.touch(last_active);
        } else if let Some((run, _)) = &found
            && entry.record.desired == Desired::Up
        {
            // Its life is lost: what it has is its first run.
            entry.life = Lifecycle::new(RunId(run.handle.run.saturating_sub(1)));
        }
        let found = match found {
            Some((run, left)) => self.take_on(name, run, left, address),
            None => Found::Nothing,
        };
        let stop = self.finish_stop(name, purge, leaving);
        self.agenda.push_back((name.clone(), Event::Resumed(found)));
        if let Some(mode) = stop {
            self.agenda.push_back((name.clone(), Event::Stop(stop_of(mode))));
        }
        true
    }

    /// A stop by hand that was written down is carried out to its end, though nobody waits for it any more. Which one.
    fn finish_stop(
        &mut self,
        name: &InstanceName,
        purge: bool,
        leaving: Option<Leaving>,
    ) -> Option<StopMode> {
        let entry = self.entries.get_mut(name)?;
        let (life, is_stopped) = (&entry.life, entry.record.desired == Desired::Stopped);
        let mode = match &leaving {
            Some(Leaving { logs: true, .. }) => StopMode::Purge,
            Some(_) => StopMode::Forget,
            None if life.is_to_be_stopped() => StopMode::Keep,
            None if life.is_going_for_good() && purge => StopMode::Purge,
            None if life.is_going_for_good() => StopMode::Forget,
            None if is_stopped && life.status() != Status::Stopped => StopMode::Keep,
            None => return None,
        };
        let (reply, _) = oneshot::channel();
        entry.busy = Some(Busy::Stopping { mode, reply, stage: Stage::Ending(leaving) });
        if mode == StopMode::Keep && !is_stopped {
            entry.record.desired = Desired::Stopped;
            let record = entry.record.clone();
            self.save_in_background(vec![record]);
        }
        Some(mode)
    }

    fn take_on(&mut self, name: &InstanceName, run: Run, left: Left, address: Option<Address>) -> Found {
        let Some(entry) = self.entries.get_mut(name) else { return Found::Nothing };
        let number = RunId(run.handle.run);
        let process = match &left {
            Left::Running(process) | Left::Ended(process) => process,
            Left::Refused(why) => {
                return Found::Refused(format!(
                    "{why}: it is left alone; end it, then start the instance by hand"
                ));
            }
        };
        if number < entry.life.run() {
            // A later one was started, so this one was to be gone.
            let process = process.clone();
            self.tasks.spawn(async move { process.kill_tree().await });
            return Found::Nothing;
        }
        entry.process = Some(process.clone());
        entry.launched = Some(Launched { text: run.launched_with.clone(), service: None });
        entry.reservation = self.launcher.keep(&run).map(Arc::new);
        entry.socket.clone_from(&run.socket);
        if let Some(address) = address {
            entry.upstream = Some(upstream(number, process, &run, address));
        }
        if let (Left::Ended(process), Some(exit)) = (&left, process.try_exited()) {
            tracing::info!(instance = %name, pid = process.pid(), %exit, "ended meanwhile");
            return Found::Ended(number, ended_as(exit));
        }
        tracing::info!(instance = %name, pid = process.pid(), "taken on");
        let process = process.clone();
        self.replace_if_changed(name);
        let (messages, name) = (self.messages.clone(), name.clone());
        let launcher = Arc::clone(&self.launcher);
        self.tasks.spawn(async move { launcher.watch(&name, number, &process, &messages).await });
        Found::Alive(number)
    }

    /// Waits on for one that was being started.
    pub(super) fn wait_on(&mut self, name: &InstanceName, run: RunId) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let (Some(process), Some(reservation)) = (entry.process.clone(), entry.reservation.clone()) else {
            return;
        };
        self.permits.hold(name);
        let order = Order {
            run,
            service: Arc::clone(&entry.slot.service()),
            record: entry.record.clone(),
            socket: entry.socket.clone(),
        };
        let (launcher, messages) = (Arc::clone(&self.launcher), self.messages.clone());
        self.tasks.spawn(async move { launcher.go_on(order, process, &reservation, &messages).await });
    }

    /// What is running of a service that is not in the configuration any more ends.
    pub(super) fn retire(&mut self, name: &InstanceName, survivor: Survivor) {
        let process = match survivor.found {
            Some((run, Left::Running(process) | Left::Ended(process))) => {
                Some((RunId(run.handle.run), process))
            }
            _ if survivor.leaving.is_some() => None,
            _ => return,
        };
        tracing::warn!(instance = %name, "its service is not in the configuration any more: ending it");
        let (grace, runs, name) = (self.config.settings.stop_timeout, Arc::clone(&self.runs), name.clone());
        let (eraser, output) = (self.eraser(), Arc::clone(&self.output));
        self.tasks.spawn(async move {
            if let Some((run, process)) = process {
                process.terminate();
                let _ = tokio::time::timeout(grace, process.exited()).await;
                process.kill_tree().await;
                output.detach(&name, run).await;
            }
            match survivor.leaving {
                Some(leaving) => {
                    // What can't be erased stays for the next start.
                    let erase = move || eraser.finish_late(&leaving);
                    drop(tokio::task::spawn_blocking(erase).await);
                }
                None => runs.forget(&name),
            }
        });
    }
}

fn upstream(run: RunId, process: &Process, of: &Run, address: Address) -> Upstream {
    let listener = match of.listener_made_by {
        Some(by) => Listener::passed_on(process.clone(), &of.socket, by),
        None => Listener::bound(process.clone(), &address),
    };
    Upstream { run, address, identity: Arc::new(listener), opened: Opened::default() }
}

impl Entry {
    /// What the next daemon needs to know.
    pub(super) fn to_remember(&self) -> Life {
        Life {
            state: self.life.clone(),
            since: self.since,
            last_active: self.slot.last_active(),
            last_check: self.last_check,
            address: self.upstream.as_ref().map(|upstream| upstream.address.clone()),
            record: self.record.clone(),
            purge: matches!(self.busy, Some(Busy::Stopping { mode: StopMode::Purge, .. })),
        }
    }
}
