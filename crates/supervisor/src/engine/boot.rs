//! What is known when the daemon starts, and what of it is started.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    sync::Arc,
};

use tenement_core::{
    config::Service,
    lifecycle::{Cause, Event, Lifecycle, Policy},
    name::InstanceName,
    slot::Slot,
};
use tenement_runtime::clock;

use super::{Engine, entry::Entry};
use crate::{
    api::{Desired, Record},
    recover::{Life, Survivor, Survivors},
};

impl Engine {
    /// Brings together what the configuration declares and what is remembered.
    ///
    /// What went on when an earlier daemon was killed goes on. Of the others, declared instances start if their service says `autostart`; those made by hand start if they can't be
    /// woken up by falling asleep first, that is without an `idle_timeout`.
    pub(super) fn boot(&mut self, records: Vec<Record>, Survivors(mut survivors): Survivors) {
        let config = Arc::clone(&self.config);
        let declared: BTreeSet<_> = config.instances.iter().cloned().collect();
        let mut known: BTreeMap<_, _> = records.into_iter().map(|r| (r.name.clone(), r)).collect();
        let mut new = Vec::new();
        let numbers = survivors.values().flat_map(|Survivor { life, found, .. }| {
            let of_life = life.as_ref().map(|life| life.state.run().0);
            of_life.into_iter().chain(found.as_ref().map(|(run, _)| run.handle.run))
        });
        self.created = numbers.max().unwrap_or(0) >> 32;
        // Made by a request a moment before the end, or the registry has lost it.
        for (name, Survivor { life, leaving, .. }) in &survivors {
            let Some(Life { record, state, .. }) = life.as_ref().filter(|_| !known.contains_key(name)) else {
                continue;
            };
            if !state.is_going_for_good() && leaving.is_none() {
                new.push(record.clone());
            }
            known.insert(name.clone(), record.clone());
        }
        for name in &declared {
            if !known.contains_key(name) {
                let record = new_record(name.clone());
                new.push(record.clone());
                known.insert(name.clone(), record);
            }
        }
        for (name, record) in known {
            let Some(service) = config.services.get(&name.service) else {
                tracing::warn!(instance = %name, "known, but its service is not in the configuration");
                let survivor = survivors.remove(&name);
                if survivor.as_ref().is_none_or(|survivor| survivor.leaving.is_none()) {
                    self.reloading.aside.insert(name.clone(), record);
                }
                if let Some(survivor) = survivor {
                    self.retire(&name, survivor);
                }
                continue;
            };
            let leaving = survivors.get(&name).is_some_and(|survivor| survivor.leaving.is_some());
            let up = record.desired == Desired::Up && service.autostart && !leaving;
            let starts = up && (declared.contains(&name) || service.idle_timeout.is_none());
            let mut entry = self.new_entry(record, service);
            entry.known = true;
            self.entries.insert(name.clone(), entry);
            let resumed = survivors.remove(&name).is_some_and(|survivor| self.resume(&name, survivor));
            // Whoever never sleeps was put to sleep by the end of a daemon, which was killed then.
            let put_to_sleep = service.idle_timeout.is_none()
                && self.entries.get(&name).is_some_and(|entry| entry.life.is_asleep_or_will_be());
            if starts && (!resumed || put_to_sleep) {
                self.agenda.push_back((name, Event::Start(Cause::Boot)));
            }
        }
        for service in config.services.keys() {
            self.publish(service);
        }
        self.save_in_background(new);
    }

    pub(super) fn new_entry(&mut self, record: Record, service: &Arc<Service>) -> Entry {
        let before = self.runs_from();
        let wakes = Arc::clone(&self.counts.entry(service.name.clone()).or_default().wakes);
        let life = match record.desired {
            Desired::Up => Lifecycle::new(before),
            Desired::Stopped => Lifecycle::stopped(before),
        };
        Entry {
            slot: Arc::new(Slot::new(record.name.clone(), Arc::clone(service)).with_wakes(wakes)),
            policy: Policy::of(&self.config.settings, service),
            life,
            socket: self.socket_of(&record.name, service),
            record,
            known: false,
            written: false,
            process: None,
            reservation: None,
            upstream: None,
            waiters: Vec::new(),
            starters: Vec::new(),
            start_error: None,
            busy: None,
            queue: VecDeque::new(),
            actor: None,
            woken_by: None,
            exit: None,
            ended_by: None,
            stage_since: None,
            since: clock::now(),
            woken: None,
            waking_since: None,
            last_check: None,
            command_not_found: false,
            timed_out: false,
            launched: None,
            leaving: false,
        }
    }

    pub(super) fn socket_of(&self, name: &InstanceName, service: &Service) -> PathBuf {
        crate::launch::socket_path(&self.config.settings.data_dir, name, service)
    }

    /// For records nobody was promised: the configuration or the next request brings them back.
    pub(super) fn save_in_background(&mut self, records: Vec<Record>) {
        if records.is_empty() {
            return;
        }
        let registry = Arc::clone(&self.registry);
        self.tasks.spawn_blocking(move || {
            if let Err(error) = registry.save_all(&records) {
                tracing::error!(%error, "records of new instances could not be saved");
            }
        });
    }
}

pub(super) fn new_record(name: InstanceName) -> Record {
    Record { name, env: BTreeMap::new(), desired: Desired::Up, created_at: clock::wall() }
}
