//! Random lives: thousands of seeds, each a small world that carries out the effects and lies about nothing
//! but the order and the time of what happens. After every step all invariants of the module are checked.
//! Now and then the daemon is killed, and the next one takes over what was written down.
//! `TENEMENT_SIM_SEED=n` runs one seed and prints its steps; `TENEMENT_SIM_SEEDS=n` sets how many.

use std::time::Duration;

use fastrand::Rng;

use super::*;
use crate::{config::RestartPolicy, history::ExitStatus};

const SEEDS: u64 = 10_000;
const STEPS: usize = 150;

/// The one process an instance may have, as the operating system would know it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Process {
    run: RunId,
    main_alive: bool,
}

struct World {
    rng: Rng,
    now: Millis,
    life: Lifecycle,
    /// Before the last step: what is written down may lag behind.
    before: Lifecycle,
    policy: Policy,
    /// What will happen, in no order.
    coming: Vec<(Millis, Event)>,
    /// A launch that was asked for and has neither process nor failure yet.
    launching: Option<RunId>,
    process: Option<Process>,
    door: bool,
    inside: u32,
    last_active: Millis,
    permit: Permit,
    waiters: Vec<Option<RunId>>,
    /// Launches since a person last had a hand in it, by time.
    unasked_launches: Vec<Millis>,
    forgotten: bool,
    /// How often there was a new one of its name.
    births: u64,
    /// Timers of earlier ones.
    stale: Vec<(Timer, u64)>,
    shutdown: bool,
    /// A request started it when it still might.
    excused: bool,
    /// Requests that asked for a start.
    asked: usize,
    trace: Vec<(Millis, Event, Phase, Vec<Effect>)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Permit {
    None,
    Requested,
    Held,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let policy = Policy {
            restart: [RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never][rng.usize(..3)],
            max_restarts: rng.u32(0..4),
            restart_window: Duration::from_secs(rng.u64(1..400)),
            backoff_base: Duration::from_millis(rng.u64(1..2000)),
            backoff_max: Duration::from_secs(60),
            startup_timeout: Duration::from_secs(10),
            stop_timeout: Duration::from_secs(rng.u64(0..10)),
            idle_timeout: rng.bool().then(|| Duration::from_secs(rng.u64(1..20))),
            check_interval: rng.bool().then(|| Duration::from_secs(rng.u64(1..10))),
            wakeable: rng.u8(..4) > 0,
        };
        Self {
            now: Millis(0),
            life: Lifecycle::new(RunId(0)),
            before: Lifecycle::new(RunId(0)),
            policy,
            coming: Vec::new(),
            launching: None,
            process: None,
            door: false,
            inside: 0,
            last_active: Millis(0),
            permit: Permit::None,
            waiters: Vec::new(),
            unasked_launches: Vec::new(),
            forgotten: false,
            births: 0,
            stale: Vec::new(),
            shutdown: false,
            excused: false,
            asked: 0,
            trace: Vec::new(),
            rng,
        }
    }

    /// Somebody makes a new one of its name; what was set for the earlier one still comes.
    fn reborn(&mut self) {
        let timers = self.coming.iter().filter_map(|(_, event)| match event {
            Event::Rang { timer, generation, .. } => Some((*timer, *generation)),
            _ => None,
        });
        self.stale.extend(timers);
        self.births += 1;
        self.life = Lifecycle::new(RunId(self.births << 32));
        self.forgotten = false;
    }

    /// The daemon is killed: whoever waited is gone, and so is all that it had under way, but for processes.
    fn taken_over(&mut self) {
        self.waiters.clear();
        (self.inside, self.door, self.permit) = (0, false, Permit::None);
        if let Some(run) = self.launching.take()
            && self.rng.bool()
        {
            self.process = Some(Process { run, main_alive: true });
        }
        let lags = self.rng.u8(..4) == 0 && self.before.run.0 >> 32 == self.births && !self.forgotten;
        let written = serde_json::to_string(if lags { &self.before } else { &self.life }).unwrap();
        self.life = serde_json::from_str(&written).unwrap();
        self.before = self.life.clone();
        // What was written last can be of before it was up.
        self.excused |= !self.policy.wakeable && self.is_woken();
        let found = match &mut self.process {
            Some(process) => {
                process.main_alive &= self.rng.u8(..4) > 0;
                match *process {
                    Process { run, main_alive: true } => Found::Alive(run),
                    Process { run, .. } => Found::Ended(run, self.ended()),
                }
            }
            None => Found::Nothing,
        };
        let alive = matches!(found, Found::Alive(_));
        self.coming.retain(|(_, event)| alive && matches!(event, Event::Exited(..)));
        self.stale.clear();
        self.asked += 1;
        self.step(Event::Resumed(found));
    }

    fn soon(&mut self, most_ms: u64, event: Event) {
        let at = Millis(self.now.0 + self.rng.u64(0..=most_ms));
        self.coming.push((at, event));
    }

    fn step(&mut self, event: Event) {
        let moment = Moment { now: self.now, dice: self.rng.u64(..) };
        if let Event::Start(_) | Event::Restart | Event::Reconfigured { restart: Some(_) } = event {
            self.unasked_launches.clear();
        }
        let before = self.life.clone();
        self.before = before.clone();
        let effects = self.life.step(event.clone(), moment, &self.policy);
        self.asked += usize::from(matches!(event, Event::Wake { .. }));
        self.trace.push((self.now, event.clone(), self.life.phase.clone(), effects.clone()));
        if matches!(event, Event::Gone(run) | Event::Ready(run) | Event::Exited(run, _) if run != before.run)
        {
            assert!(effects.is_empty() && before.phase == self.life.phase, "late news changed something");
        }
        if let Event::Rang { timer, generation, .. } = event
            && self.stale.contains(&(timer, generation))
        {
            assert!(effects.is_empty() && before.phase == self.life.phase, "a timer of an earlier one rang");
        }
        for effect in effects {
            self.carry_out(effect);
        }
        self.check();
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::RequestPermit => {
                assert_eq!(self.permit, Permit::None, "asked twice for a permit");
                self.permit = Permit::Requested;
                self.soon(500, Event::Permit);
            }
            Effect::ReleasePermit => self.permit = Permit::None,
            Effect::Launch(run) => self.launch(run),
            Effect::Terminate(run) => {
                self.expect_process(run);
                if self.rng.u8(..4) > 0 {
                    let ended = self.ended();
                    self.soon(8000, Event::Exited(run, ended));
                }
            }
            Effect::Kill(run) => {
                self.expect_process(run);
                self.soon(
                    20,
                    Event::Exited(
                        run,
                        Ended { clean: false, words: "killed".into(), status: ExitStatus::default() },
                    ),
                );
                self.soon(50, Event::Gone(run));
            }
            Effect::Open(run) | Effect::Reopen(run) => {
                assert!(
                    self.process.is_some_and(|p| p.run == run && p.main_alive) || self.exit_is_coming(run)
                );
                self.door = true;
            }
            Effect::Await(run) => {
                self.expect_process(run);
                self.permit = Permit::Held;
                self.soon(12_000, Event::Ready(run));
            }
            Effect::CloseIfIdle => {
                let closed = self.inside == 0;
                self.door = !closed;
                self.step(Event::DoorClosed(closed));
            }
            Effect::Close => {
                self.door = false;
                self.inside = 0;
            }
            Effect::Admit { run, doubters } => {
                self.waiters.retain(|failed| !doubters && *failed == Some(run));
            }
            Effect::Refuse(_) => self.waiters.clear(),
            Effect::Set { timer, generation, at } => {
                assert!(at >= self.now);
                self.coming.push((at, Event::Rang { timer, generation, last_active: self.last_active }));
            }
            Effect::Check(run) => {
                let failure = (self.rng.u8(..3) == 0).then(|| "answered 500".to_owned());
                self.soon(6000, Event::Checked { run, failure });
            }
            Effect::Forgotten => self.forgotten = true,
        }
    }

    fn launch(&mut self, run: RunId) {
        assert!(!self.shutdown, "started after a shutdown began");
        assert!(self.process.is_none() && self.launching.is_none(), "two processes of one instance");
        assert!(!self.forgotten);
        self.unasked_launches.push(self.now);
        self.launching = Some(run);
        if self.rng.u8(..8) == 0 {
            let permanent = self.rng.bool();
            self.soon(10, Event::LaunchFailed { run, words: "no such command".into(), permanent });
        } else {
            self.soon(10, Event::Launched(run));
        }
    }

    fn ended(&mut self) -> Ended {
        let clean = self.rng.bool();
        let words = format!("exited with code {}", u8::from(!clean));
        Ended { clean, words, status: ExitStatus::default() }
    }

    fn expect_process(&self, run: RunId) {
        assert!(self.process.is_some_and(|p| p.run == run), "no such process to end: {run:?}");
    }

    fn exit_is_coming(&self, run: RunId) -> bool {
        self.coming.iter().any(|(_, event)| matches!(event, Event::Exited(r, _) if *r == run))
    }

    /// What the world knows of an event before the lifecycle hears of it; whether it still happens.
    fn happen(&mut self, event: &mut Event) -> bool {
        match event {
            Event::Permit => {
                if self.permit != Permit::Requested {
                    return false;
                }
                self.permit = Permit::Held;
            }
            Event::Launched(run) => {
                self.launching = None;
                self.process = Some(Process { run: *run, main_alive: true });
                let run = *run;
                match self.rng.u8(..10) {
                    0 => {}
                    1 | 2 => {
                        let ended = self.ended();
                        self.soon(3000, Event::Exited(run, ended));
                    }
                    _ => self.soon(12_000, Event::Ready(run)),
                }
            }
            Event::LaunchFailed { .. } => self.launching = None,
            Event::Exited(run, _) => match &mut self.process {
                Some(process) if process.run == *run && process.main_alive => process.main_alive = false,
                _ => return false,
            },
            Event::Ready(run) => return self.process.is_some_and(|p| p.run == *run && p.main_alive),
            Event::Gone(run) => match self.process {
                Some(process) if process.run == *run => self.process = None,
                _ => return false,
            },
            Event::Rang { last_active, .. } => *last_active = self.last_active,
            _ => {}
        }
        true
    }

    fn next(&mut self) -> bool {
        let Some(at) = (0..self.coming.len()).min_by_key(|&i| self.coming[i].0) else { return false };
        let (at, mut event) = self.coming.swap_remove(at);
        self.now = self.now.max(at);
        if self.happen(&mut event) {
            self.step(event);
        }
        true
    }

    fn interfere(&mut self) {
        let run = self.life.run();
        match self.rng.u8(..25) {
            24 if !self.shutdown => self.taken_over(),
            0 if self.forgotten && !self.shutdown => self.reborn(),
            0 => self.step(Event::Start(Cause::Hand)),
            1 => self.step(Event::Restart),
            2 => self.step(Event::Stop(Stop::Keep)),
            3 if self.rng.u8(..4) == 0 => self.step(Event::Stop(Stop::Forget)),
            4 if self.rng.u8(..6) == 0 => {
                self.shutdown = true;
                let stop = if self.rng.bool() { Stop::Shutdown } else { Stop::Removed };
                self.step(Event::Stop(stop));
            }
            5..=10 => {
                let failed = (self.rng.u8(..3) == 0).then_some(run);
                if self.door && failed.is_none() {
                    self.inside += 1;
                } else {
                    self.waiters.push(failed);
                    self.step(Event::Wake { failed });
                }
            }
            11..=15 if self.inside > 0 => {
                self.inside -= 1;
                self.last_active = self.now;
            }
            16 => {
                let ended = self.ended();
                self.soon(5, Event::Exited(run, ended));
            }
            17 if self.rng.bool() => self.reconfigure(),
            17 => {
                let late = RunId(run.0.saturating_sub(1));
                let ended = self.ended();
                self.step(Event::Exited(late, ended));
                self.step(Event::Gone(late));
                self.step(Event::Ready(late));
            }
            _ => {}
        }
    }

    /// Another policy, and perhaps another command.
    fn reconfigure(&mut self) {
        let seconds = |rng: &mut Rng, most| rng.bool().then(|| Duration::from_secs(rng.u64(1..most)));
        self.policy.idle_timeout = seconds(&mut self.rng, 20);
        self.policy.check_interval = seconds(&mut self.rng, 10);
        self.policy.wakeable = self.rng.u8(..4) > 0;
        self.excused = !self.policy.wakeable && self.is_woken();
        let restart = self.rng.bool().then(|| "configuration changed: command".to_owned());
        self.step(Event::Reconfigured { restart });
    }

    fn is_woken(&self) -> bool {
        match &self.life.phase {
            Phase::Queued(start) | Phase::Launching { start, .. } => start.cause == Cause::Wake,
            Phase::Ending(Ending { then: Then::Start(start), .. }) => start.cause == Cause::Wake,
            _ => false,
        }
    }

    fn check(&mut self) {
        let woken = self.is_woken();
        self.excused &= woken;
        let phase = &self.life.phase;
        assert!(self.policy.wakeable || self.excused || !woken, "a request started it");
        let up = matches!(phase, Phase::Up { .. });
        let without =
            matches!(phase, Phase::Rest(_) | Phase::Queued(_) | Phase::Backoff { .. } | Phase::Forgotten);
        assert!(!(without && (self.process.is_some() || self.launching.is_some())), "a process in {phase:?}");
        assert_eq!(self.door, up, "the door in {phase:?}");
        let permit = match phase {
            Phase::Queued(_) => Permit::Requested,
            Phase::Launching { .. } => Permit::Held,
            _ => Permit::None,
        };
        assert_eq!(self.permit, permit, "the permit in {phase:?}");
        let doubter = up && self.is_set(Timer::Doubt);
        let resting = matches!(phase, Phase::Rest(_) | Phase::Forgotten) || (up && !doubter);
        assert!(!resting || self.waiters.is_empty(), "waiters are forgotten in {phase:?}");
        let window =
            self.unasked_launches.iter().filter(|at| self.now.since(**at) <= self.policy.restart_window);
        // Requests may start it as often as they come; what is limited is what it does by itself.
        let allowed = self.policy.max_restarts as usize + 1 + self.asked;
        assert!(window.count() <= allowed, "started too often by itself");
        if !matches!(phase, Phase::Rest(_) | Phase::Up { .. } | Phase::Forgotten) {
            assert!(!self.coming.is_empty(), "nothing is under way in {phase:?}");
        }
        assert_eq!(self.forgotten, self.life.is_forgotten());
        self.check_timers(up);
    }

    /// What is set while it is up is what the policy says, and once.
    fn check_timers(&self, up: bool) {
        let set = |wanted| self.timers(wanted);
        let is_asked = |(_, event): &(Millis, Event)| matches!(event, Event::Checked { run, .. } if *run == self.life.run);
        let asked = self.coming.iter().filter(|coming| is_asked(coming)).count();
        let due = |is: bool| usize::from(up && is);
        assert_eq!(set(Timer::Idle), due(self.policy.idle_timeout.is_some()), "idle timers");
        match self.policy.check_interval {
            Some(_) => assert_eq!(set(Timer::Check) + asked, due(true).max(asked), "check timers"),
            None => assert_eq!(set(Timer::Check), 0, "check timers"),
        }
    }

    fn is_set(&self, wanted: Timer) -> bool {
        self.timers(wanted) > 0
    }

    fn timers(&self, wanted: Timer) -> usize {
        let current = self.life.generation;
        let is_it = |(_, event): &&(Millis, Event)| matches!(event, Event::Rang { timer, generation, .. } if *timer == wanted && *generation == current);
        self.coming.iter().filter(is_it).count()
    }
}

fn live(seed: u64, trace: bool) {
    let run = std::panic::AssertUnwindSafe(|| {
        let mut world = World::new(seed);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..STEPS {
                world.interfere();
                world.next();
            }
            // Left alone, everybody who waits gets an answer, and what was started comes to rest or stays up.
            world.inside = 0;
            for _ in 0..2000 {
                let settled =
                    matches!(world.life.phase, Phase::Rest(_) | Phase::Up { .. } | Phase::Forgotten);
                if (settled && world.waiters.is_empty()) || !world.next() {
                    break;
                }
            }
            assert!(world.waiters.is_empty(), "waiters were never answered");
        }));
        if trace || outcome.is_err() {
            eprintln!("seed {seed}, {:?}", world.policy);
            for (now, event, phase, effects) in &world.trace {
                eprintln!("{:>8} {event:?} -> {phase:?} {effects:?}", now.0);
            }
        }
        outcome
    });
    if let Err(panic) = run.0() {
        std::panic::resume_unwind(panic);
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn ten_thousand_random_lives_keep_every_invariant() {
    if let Some(seed) = number("TENEMENT_SIM_SEED") {
        return live(seed, true);
    }
    for seed in 0..number("TENEMENT_SIM_SEEDS").unwrap_or(SEEDS) {
        live(seed, false);
    }
}
