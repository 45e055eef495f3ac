//! The loop that owns every instance's state.
//!
//! ```text
//!   message ─► command │ wake │ news ─► Lifecycle::step ─► effects ─┬─► tasks (launch, kill, check, write)
//!   timer  ──────────────────────────────────►┘    ▲                ├─► slots, route table, timers
//!                                                  └── agenda ◄─────┴─► permits
//! ```
//!
//! No lock is held and nothing is awaited while a message is handled.

mod adopt;
mod boot;
mod checks;
mod command;
mod effect;
mod entry;
mod hand_over;
mod leaving;
mod message;
mod newcomers;
mod news;
mod permits;
mod reconfigure;
mod rest;
mod tally;
mod timers;
mod transition;
mod watchers;

use std::{
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use arc_swap::ArcSwap;
use tenement_core::{
    config::Config,
    lifecycle::{Effect, Event, Moment, Timer},
    name::{InstanceName, ServiceName},
    route::{RouteTable, ServiceCounts},
    slot::RunId,
    time::Millis,
    wake::WakeRefusal,
};
use tenement_runtime::{clock, process::Process};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

pub use self::leaving::finish_leaving;
pub(crate) use self::message::{Command, Message, News};
use self::{
    checks::Rounds,
    entry::Entry,
    hand_over::HandOver,
    newcomers::Newcomers,
    permits::Permits,
    reconfigure::Reloading,
    timers::{Alarm, Timers},
    transition::Before,
    watchers::Watchers,
};
use crate::{
    api::{Observer, Output, Record, Registry, Totals},
    handle::Supervisor,
    launch::Launcher,
    recover::{Runs, Survivors},
};

/// How long those who know what is in use elsewhere have to say it.
const UNSURE: Duration = Duration::from_secs(10);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(50);

/// What the loop works with.
pub struct Deps {
    /// The configuration.
    pub config: Arc<Config>,
    /// Where processes come from.
    pub host: Arc<tenement_runtime::process::Host>,
    /// Where records are kept.
    pub registry: Arc<dyn Registry>,
    /// Where lives and processes are remembered.
    pub runs: Arc<dyn Runs>,
    /// Where output goes.
    pub output: Arc<dyn Output>,
    /// Who is told what happens.
    pub observer: Arc<dyn Observer>,
    /// What every instance's environment begins with: `PATH`, `LANG`, `TZ`.
    pub base_env: Vec<(String, String)>,
    /// As long as it is there, it is not known what is in use elsewhere, and nothing falls asleep; for 10 s at most.
    pub unsure: Weak<()>,
}

/// Starts the loop on the current runtime, with what is remembered from before and what was found of it. Who was up before
/// is up when it returns.
#[must_use]
pub fn start(deps: Deps, records: Vec<Record>, survivors: Survivors) -> Supervisor {
    let (messages, inbox) = mpsc::unbounded_channel();
    let routes = Arc::new(ArcSwap::from_pointee(RouteTable::new(&deps.config.settings.domain)));
    let supervisor = Supervisor { routes: Arc::clone(&routes), messages: messages.clone(), actor: None };
    let launcher = Launcher::new(&deps);
    let mut engine = Engine {
        permits: Permits::new(deps.config.settings.max_starting, deps.config.services.len()),
        config: deps.config,
        registry: deps.registry,
        runs: deps.runs,
        output: deps.output,
        observer: deps.observer,
        launcher: Arc::new(launcher),
        routes,
        messages,
        entries: BTreeMap::new(),
        timers: Timers::default(),
        agenda: VecDeque::new(),
        rounds: Rounds::default(),
        tasks: JoinSet::new(),
        totals: Totals::default(),
        counts: BTreeMap::new(),
        created: 0,
        newcomers: Newcomers::default(),
        reloading: Reloading::default(),
        shutdown: Vec::new(),
        shutting_down: false,
        hand_over: HandOver::default(),
        watchers: Watchers::default(),
        unsure: deps.unsure,
        sure_at: clock::now().after(UNSURE),
    };
    engine.boot(records, survivors);
    engine.guarded(Engine::settle);
    #[allow(
        clippy::disallowed_methods,
        reason = "the one long-lived task of this crate; it owns all others"
    )]
    tokio::spawn(engine.run(inbox));
    supervisor
}

pub(crate) fn shutting_down() -> WakeRefusal {
    WakeRefusal::Unavailable {
        reason: "tenement is shutting down".into(),
        retry_after: Duration::from_secs(5),
    }
}

struct Engine {
    config: Arc<Config>,
    registry: Arc<dyn Registry>,
    runs: Arc<dyn Runs>,
    output: Arc<dyn Output>,
    observer: Arc<dyn Observer>,
    launcher: Arc<Launcher>,
    routes: Arc<ArcSwap<RouteTable>>,
    messages: mpsc::UnboundedSender<Message>,
    entries: BTreeMap<InstanceName, Entry>,
    permits: Permits,
    timers: Timers,
    /// Events that follow from what is being handled.
    agenda: VecDeque<(InstanceName, Event)>,
    rounds: Rounds,
    tasks: JoinSet<()>,
    totals: Totals,
    /// What the route table says of each service as a whole.
    counts: BTreeMap<ServiceName, ServiceCounts>,
    /// Entries made so far: each numbers its runs from a place of its own.
    created: u64,
    newcomers: Newcomers,
    reloading: Reloading,
    shutdown: Vec<oneshot::Sender<()>>,
    shutting_down: bool,
    hand_over: HandOver,
    watchers: Watchers,
    unsure: Weak<()>,
    /// From when on nothing is waited for.
    sure_at: Millis,
}

impl Engine {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        let mut alarm = pin!(tokio::time::sleep(Duration::ZERO));
        let mut set_for = None;
        loop {
            self.guarded(Self::settle);
            let next = self.next_alarm();
            if next != set_for
                && let Some(at) = next
            {
                // Setting a timer wakes the event loop; so only when it is another one.
                alarm.set(tokio::time::sleep(at.since(clock::now())));
            }
            set_for = next;
            tokio::select! {
                biased;
                message = inbox.recv() => match message {
                    Some(message) => self.guarded(|engine| engine.handle(message)),
                    None => return,
                },
                () = &mut alarm, if set_for.is_some() => set_for = None,
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a task of the supervisor panicked");
                        self.totals.panics += 1;
                    }
                }
            }
        }
    }

    /// A panic while one message is handled ends neither the loop nor the other instances.
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            tracing::error!("the supervisor panicked over one message and goes on");
            self.totals.panics += 1;
        }
    }

    /// When something is due.
    fn next_alarm(&self) -> Option<Millis> {
        match self.hand_over {
            HandOver::No => self.timers.next().into_iter().chain(self.rounds.next()).min(),
            HandOver::Soon { by, .. } => {
                self.timers.next().into_iter().chain(self.rounds.next()).chain([by]).min()
            }
            HandOver::Done(_) => None,
        }
    }

    fn handle(&mut self, message: Message) {
        let Some(message) = self.while_handing_over(message) else { return };
        match message {
            Message::List(reply) => {
                let _ = reply.send(self.views());
            }
            Message::Get(name, reply) => {
                let entry = self.entries.get(&name).filter(|entry| entry.known);
                let _ = reply.send(entry.map(|entry| entry.view(clock::now())));
            }
            Message::Processes(names, reply) => {
                let _ = reply.send(self.processes(names));
            }
            Message::Totals(reply) => {
                let _ = reply.send(self.totals.clone());
            }
            Message::Watch(bell, reply) => {
                let _ = reply.send(self.watch(bell));
            }
            Message::Changed(number, reply) => {
                let _ = reply.send(self.changed(number));
            }
            Message::Command { name, command, actor } => self.command(&name, command, actor),
            Message::Reconfigure { config, dry_run, reply } => {
                let _ = reply.send(self.reconfigure(config, dry_run));
            }
            Message::Wake { name, failed, by, reply } => self.wake(&name, failed, by, reply),
            Message::News(name, news) => self.news(&name, news),
            Message::Shutdown(reply) => self.begin_shutdown(reply),
            Message::HandOver(reply) => self.begin_hand_over(reply),
            Message::Hurry => self.tell_all(&Event::Hurry),
        }
    }

    fn processes(&self, names: Option<Vec<InstanceName>>) -> Vec<(InstanceName, Process)> {
        let process = |entry: &Entry| Some((entry.record.name.clone(), entry.process.clone()?));
        match names {
            Some(names) => names.iter().filter_map(|name| process(self.entries.get(name)?)).collect(),
            None => self.entries.values().filter_map(process).collect(),
        }
    }

    /// Rings what is due, hands out permits, and works off what follows, until nothing follows any more.
    fn settle(&mut self) {
        if matches!(self.hand_over, HandOver::Done(_)) {
            return;
        }
        let now = clock::now();
        self.timers.allow_for_a_stop(now);
        self.collect(now);
        loop {
            if let Some((name, event)) = self.agenda.pop_front() {
                self.step(&name, event);
            } else if let Some(alarm) = self.timers.due(now) {
                let Some(entry) = self.entries.get(&alarm.name) else { continue };
                if alarm.timer == Timer::Idle && now < self.sure_at && self.unsure.strong_count() > 0 {
                    self.timers.set(Alarm { at: now.after(LOOK), ..alarm });
                    continue;
                }
                if alarm.timer == Timer::Doubt && entry.has_vanished() {
                    self.step(&alarm.name, Event::Vanished(entry.life.run()));
                    continue;
                }
                let last_active = entry.slot.last_active();
                let rang = Event::Rang { timer: alarm.timer, generation: alarm.generation, last_active };
                self.step(&alarm.name, rang);
            } else if let Some(name) = self.permit() {
                self.step(&name, Event::Permit);
            } else if let Some((name, why)) = self.replacement() {
                self.step(&name, Event::Reconfigured { restart: Some(why) });
            } else {
                break;
            }
        }
        self.ask(now);
        self.finish_leaving();
        self.finish_shutdown();
        self.hand_over_if_quiet(now);
    }

    /// One step of one instance, with everything that follows at once.
    fn step(&mut self, name: &InstanceName, event: Event) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let moment = Moment { now: clock::now(), dice: fastrand::u64(..) };
        let tally = tally::Before::of(entry, &event);
        let before = Before::of(entry, &event);
        let is_late = matches!(event, Event::Rang { timer: Timer::Startup, .. });
        let was = entry.life.clone();
        let effects = entry.life.step(event, moment, &entry.policy);
        if effects.iter().any(|effect| matches!(effect, Effect::Refuse(_))) {
            entry.timed_out = is_late;
        }
        if let Some(transition) = before.transition(entry, moment.now) {
            self.observer.changed(&transition);
        }
        tally.count(entry, &mut self.totals);
        if !entry.life.is_as(&was) {
            self.runs.changed(name, entry.to_remember());
            self.watchers.note(name);
        }
        for effect in effects {
            self.carry_out(name, effect);
        }
        self.after_step(name);
    }

    fn tell_all(&mut self, event: &Event) {
        let names: Vec<_> = self.entries.keys().cloned().collect();
        self.agenda.extend(names.into_iter().map(|name| (name, event.clone())));
    }

    fn begin_shutdown(&mut self, reply: oneshot::Sender<()>) {
        self.shutdown.push(reply);
        if !self.shutting_down {
            self.shutting_down = true;
            self.tell_all(&Event::Stop(tenement_core::lifecycle::Stop::Shutdown));
        }
    }

    fn finish_shutdown(&mut self) {
        let done = || self.entries.values().all(|entry| entry.life.is_at_rest() && entry.busy.is_none());
        if !self.shutdown.is_empty() && done() {
            for reply in self.shutdown.drain(..) {
                let _ = reply.send(());
            }
        }
    }

    /// Makes the table the data plane reads say what is known of one service.
    fn publish(&self, service: &ServiceName) {
        let mut table = RouteTable::clone(&self.routes.load());
        self.set_routes(&mut table, service);
        self.routes.store(Arc::new(table));
    }

    fn set_routes(&self, table: &mut RouteTable, service: &ServiceName) {
        let Some(config) = self.config.services.get(service) else { return };
        let of_service = self.entries.values().filter(|e| e.record.name.service == *service);
        let slots = of_service.filter(|e| e.known && !e.leaving).map(|entry| Arc::clone(&entry.slot));
        let counts = self.counts.get(service).cloned().unwrap_or_default();
        table.set_counted(Arc::clone(config), slots, counts);
    }

    /// The number before the first run of a new entry: no run's number comes twice.
    fn runs_from(&mut self) -> RunId {
        self.created += 1;
        RunId(self.created << 32)
    }

    fn set_timer(&mut self, name: &InstanceName, timer: Timer, generation: u64, at: Millis) {
        let interval = self.config.settings.health_check_interval;
        let at = if timer == Timer::Check { checks::slot(at, interval, self.entries.len()) } else { at };
        self.timers.set(Alarm { at, timer, generation, name: name.clone(), postponed: false });
    }
}
