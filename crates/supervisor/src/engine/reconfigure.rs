//! A new configuration, put in force as a whole or not at all.
//!
//! ```text
//!   Reconfigure ─► does it fit what there is? ── no ─► refused, and nothing has changed
//!                            │ yes; a dry run ends here
//!                            ▼
//!      what everybody reads: configuration, permits, routes, policies, slots
//!         ├─ services that went ──► no route ─► requests finish ─► SIGTERM, grace ─► record set aside
//!         ├─ what came ──► known, and started as at boot
//!         └─ what runs and is started in another way now ──► a queue: as many at a time as may start
//! ```

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
};

use tenement_core::{
    config::{Config, SOCKET_PATH_MAX, Service, launch_text, needs_restart, same_socket},
    lifecycle::{Cause, Event, Policy, Stop},
    name::InstanceName,
    route::RouteTable,
    wake::WakeRefusal,
};
use tenement_runtime::clock;

use super::{
    Engine,
    boot::new_record,
    entry::{Entry, Launched},
    leaving::erase_socket,
    message::{Message, News},
};
use crate::{
    api::{CommandError, Desired, Reconfigured, Record},
    launch::socket_path,
};

/// How often it is looked whether the requests of an instance that goes have ended.
const LOOK: std::time::Duration = std::time::Duration::from_millis(20);

/// What is under way because of a new configuration.
#[derive(Debug, Default)]
pub(super) struct Reloading {
    /// Records of instances whose service is not in the configuration.
    pub(super) aside: BTreeMap<InstanceName, Record>,
    /// Entries whose service went.
    leaving: BTreeSet<InstanceName>,
    /// Those to be restarted, in their order.
    queue: VecDeque<InstanceName>,
    /// Those that are being restarted.
    under_way: BTreeSet<InstanceName>,
}

/// What a configuration does to the instances there are.
struct Steps {
    told: Reconfigured,
    /// Records of instances that become known, and whether they are new.
    coming: Vec<(Record, bool)>,
}

impl Engine {
    /// Puts a configuration in force, or only says what that would do.
    pub(super) fn reconfigure(
        &mut self,
        config: Arc<Config>,
        dry_run: bool,
    ) -> Result<Reconfigured, CommandError> {
        if self.shutting_down {
            return Err(CommandError::ShuttingDown);
        }
        let steps = self.steps(&config);
        self.check_sockets(&config, &steps).map_err(CommandError::Refused)?;
        if !dry_run {
            self.put_in_force(&config, &steps);
        }
        Ok(steps.told)
    }

    fn steps(&self, config: &Config) -> Steps {
        let declared: BTreeSet<&InstanceName> = config.instances.iter().collect();
        let new_here = |name| declared.contains(name) && !self.config.instances.contains(name);
        let mut steps = Steps { told: Reconfigured::default(), coming: Vec::new() };
        for (name, entry) in self.entries.iter().filter(|(_, entry)| !entry.leaving) {
            let Some(service) = config.services.get(&name.service) else {
                steps.told.ends.push(name.clone());
                continue;
            };
            let changed = entry.changed(service);
            let idle = entry.life.is_at_rest();
            let mended = changed.is_some() && entry.life.is_failed();
            if let Some(why) = changed.filter(|_| !idle && !entry.life.is_ending()) {
                steps.told.restarts.push((name.clone(), why));
            } else if idle
                && (new_here(name) || mended)
                && starts(&entry.record, service, declared.contains(name))
            {
                steps.told.starts.push(name.clone());
            }
        }
        let aside = self.reloading.aside.values().filter(|record| !self.entries.contains_key(&record.name));
        steps.coming.extend(aside.map(|record| (record.clone(), false)));
        for name in declared
            .iter()
            .filter(|name| !self.entries.contains_key(**name) && !self.reloading.aside.contains_key(**name))
        {
            steps.coming.push((new_record((*name).clone()), true));
        }
        steps.coming.retain(|(record, _)| config.services.contains_key(&record.name.service));
        for (record, _) in &steps.coming {
            let service = &config.services[&record.name.service];
            if starts(record, service, declared.contains(&record.name)) {
                steps.told.starts.push(record.name.clone());
            }
        }
        steps
    }

    /// Whether every instance has a socket of its own, now and while what runs is being restarted.
    fn check_sockets(&self, config: &Config, steps: &Steps) -> Result<(), String> {
        let names = self.entries.keys().chain(steps.coming.iter().map(|(record, _)| &record.name));
        let mut sockets: BTreeMap<PathBuf, &InstanceName> = BTreeMap::new();
        for name in names {
            let Some(service) = config.services.get(&name.service) else { continue };
            let socket = socket_path(&config.settings.data_dir, name, service);
            let length = socket.as_os_str().len();
            if length > SOCKET_PATH_MAX {
                return Err(format!(
                    "the socket path of '{name}' would have {length} bytes, {SOCKET_PATH_MAX} are possible: shorten \
                     'socket' of service '{}'",
                    name.service
                ));
            }
            if let Some(other) = sockets.insert(socket, name) {
                return Err(same_socket(other, name));
            }
        }
        for (name, entry) in self.entries.iter().filter(|(_, entry)| !entry.life.is_at_rest()) {
            if let Some(other) = sockets.get(&entry.socket).filter(|other| **other != name) {
                return Err(format!(
                    "'{other}' would get the socket of '{name}', which still runs: give service '{}' another \
                     'socket', or end '{name}' first",
                    other.service
                ));
            }
        }
        Ok(())
    }

    fn put_in_force(&mut self, config: &Arc<Config>, steps: &Steps) {
        self.config = Arc::clone(config);
        self.launcher.reconfigure(config);
        self.permits.resize(config.settings.max_starting, config.services.len());
        let staying = self.entries.iter().filter(|(_, entry)| !entry.leaving);
        let names: Vec<_> = staying.map(|(name, _)| name.clone()).collect();
        for name in &names {
            match config.services.get(&name.service) {
                Some(service) => self.adapt(name, service),
                None => self.send_away(name),
            }
        }
        let mut new = Vec::new();
        for (record, is_new) in &steps.coming {
            self.reloading.aside.remove(&record.name);
            self.welcome(record);
            new.extend(is_new.then(|| record.clone()));
        }
        self.save_in_background(new);
        self.publish_all();
        for name in &steps.told.starts {
            self.agenda.push_back((name.clone(), Event::Start(Cause::Reload)));
        }
        self.reloading.queue = steps.told.restarts.iter().map(|(name, _)| name.clone()).collect();
    }

    /// What an entry reads of the configuration is that of the new one.
    fn adapt(&mut self, name: &InstanceName, service: &Arc<Service>) {
        let policy = Policy::of(&self.config.settings, service);
        let Some(entry) = self.entries.get_mut(name) else { return };
        let restart = entry.changed(service).filter(|_| entry.life.up_since().is_none());
        let restart = restart.filter(|_| !entry.life.is_launching());
        let news = entry.policy != policy || restart.is_some();
        entry.policy = policy;
        entry.slot.set_service(Arc::clone(service));
        if entry.life.is_at_rest() {
            self.settle_socket(name);
        }
        if news {
            // What is up or being launched is replaced in its turn; what is neither can't disturb anybody.
            self.agenda.push_back((name.clone(), Event::Reconfigured { restart }));
        }
    }

    fn welcome(&mut self, record: &Record) {
        let Some(service) = self.config.services.get(&record.name.service).cloned() else { return };
        let mut entry = self.new_entry(record.clone(), &service);
        entry.known = true;
        self.watchers.note(&record.name);
        self.entries.insert(record.name.clone(), entry);
    }

    /// Nothing leads to it any more; what is under way may end, and then it goes.
    fn send_away(&mut self, name: &InstanceName) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.leaving = true;
        entry.refuse(&WakeRefusal::Unknown);
        self.reloading.leaving.insert(name.clone());
        if entry.life.up_since().is_none() {
            self.agenda.push_back((name.clone(), Event::Stop(Stop::Removed)));
            return;
        }
        let (slot, messages, name) = (Arc::clone(&entry.slot), self.messages.clone(), name.clone());
        let deadline = clock::now().after(self.config.settings.stop_timeout);
        self.tasks.spawn(async move {
            while slot.in_flight() > 0 && clock::now() < deadline {
                tokio::time::sleep(LOOK).await;
            }
            let _ = messages.send(Message::News(name, News::Drained));
        });
    }

    /// The requests of one that goes have ended, or had their time.
    pub(super) fn drained(&mut self, name: &InstanceName) {
        if self.entries.get(name).is_some_and(|entry| entry.leaving) {
            self.step(name, Event::Stop(Stop::Removed));
        }
    }

    /// Lets go of those of which nothing runs any more. Their records stay where they are.
    pub(super) fn finish_leaving(&mut self) {
        if self.reloading.leaving.is_empty() {
            return;
        }
        // One that was erased meanwhile may be there again, as another one.
        let is_gone = |name: &&InstanceName| {
            let entry = self.entries.get(*name).filter(|entry| entry.leaving);
            entry.is_none_or(|entry| entry.life.is_at_rest() && entry.busy.is_none())
        };
        let gone: Vec<_> = self.reloading.leaving.iter().filter(is_gone).cloned().collect();
        for name in gone {
            self.reloading.leaving.remove(&name);
            if !self.entries.get(&name).is_some_and(|entry| entry.leaving) {
                continue;
            }
            let Some(mut entry) = self.entries.remove(&name) else { continue };
            self.watchers.note(&name);
            entry.slot.close();
            entry.refuse(&WakeRefusal::Unknown);
            let unknown = CommandError::UnknownService(name.service.clone());
            entry.answer_starters(&Err(unknown));
            // A service's counters never go back, even if it comes back.
            self.counts.entry(name.service.clone()).or_default().retired.add(&entry.slot.traffic.tally());
            if entry.known {
                self.set_aside(entry.record);
            }
            for (command, actor) in entry.queue {
                self.command(&name, command, actor);
            }
        }
    }

    /// Its service may have come back meanwhile.
    fn set_aside(&mut self, record: Record) {
        let name = record.name.clone();
        let Some(service) = self.config.services.get(&name.service).filter(|_| !self.shutting_down) else {
            self.reloading.aside.insert(name, record);
            return;
        };
        let starts = starts(&record, service, self.config.instances.contains(&name));
        self.welcome(&record);
        self.publish(&name.service);
        if starts {
            self.agenda.push_back((name, Event::Start(Cause::Reload)));
        }
    }

    /// One that an earlier daemon had started in another way is restarted in its turn.
    pub(super) fn replace_if_changed(&mut self, name: &InstanceName) {
        let Some(entry) = self.entries.get(name) else { return };
        if entry.changed(&entry.slot.service()).is_some() {
            self.reloading.queue.push_back(name.clone());
        }
    }

    /// The next one whose turn it is to be restarted, and why.
    pub(super) fn next_to_replace(&mut self) -> Option<(InstanceName, String)> {
        if self.reloading.queue.is_empty() || self.shutting_down {
            return None;
        }
        let entries = &self.entries;
        self.reloading.under_way.retain(|name| entries.get(name).is_some_and(Entry::is_in_between));
        while self.reloading.under_way.len() < self.config.settings.max_starting {
            let name = self.reloading.queue.pop_front()?;
            let Some(entry) = self.entries.get(&name).filter(|entry| !entry.leaving) else { continue };
            // It may have been restarted, stopped or put to sleep meanwhile.
            let Some(why) = entry.changed(&entry.slot.service()) else { continue };
            if entry.life.is_launching() || entry.life.up_since().is_some() {
                self.reloading.under_way.insert(name.clone());
                return Some((name, why));
            }
        }
        None
    }

    /// Where it listens from now on; a socket file in another place goes. For one that has no process.
    pub(super) fn settle_socket(&mut self, name: &InstanceName) {
        let Some(entry) = self.entries.get(name) else { return };
        let wanted = self.socket_of(name, &entry.slot.service());
        if wanted == entry.socket {
            return;
        }
        let Some(entry) = self.entries.get_mut(name) else { return };
        let old = std::mem::replace(&mut entry.socket, wanted);
        if self.holder(&old).is_none() {
            self.tasks.spawn_blocking(move || erase_socket(&old));
        }
    }

    /// Who has this socket, or will have it when it is started again.
    pub(super) fn holder(&self, socket: &Path) -> Option<&InstanceName> {
        let has = |(name, entry): &(&InstanceName, &Entry)| {
            entry.socket == socket || self.socket_of(name, &entry.slot.service()) == socket
        };
        self.entries.iter().find(has).map(|(name, _)| name)
    }

    fn publish_all(&self) {
        let mut table = RouteTable::new(&self.config.settings.domain);
        for service in self.config.services.keys() {
            self.set_routes(&mut table, service);
        }
        self.routes.store(Arc::new(table));
    }
}

/// Whether it is started without being asked for, as at boot.
fn starts(record: &Record, service: &Service, declared: bool) -> bool {
    let up = record.desired == Desired::Up && service.autostart;
    up && (declared || service.idle_timeout.is_none())
}

impl Entry {
    /// Why its last process is not what `service` would start now.
    fn changed(&self, service: &Service) -> Option<String> {
        let Launched { text, service: old } = self.launched.as_ref()?;
        if *text == launch_text(service) {
            return None;
        }
        Some(match old {
            Some(old) => format!("configuration changed: {}", needs_restart(old, service).join(", ")),
            None => "configuration changed".to_owned(),
        })
    }

    /// Neither up nor at rest nor waiting to be tried again.
    fn is_in_between(&self) -> bool {
        let life = &self.life;
        !(life.is_at_rest() || life.is_backing_off()) && life.up_since().is_none()
    }
}
