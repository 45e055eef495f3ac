//! Single stories, told step by step.

use std::time::Duration;

use super::*;
use crate::{config::RestartPolicy, history::ExitStatus, wake::WakeRefusal};

fn policy() -> Policy {
    Policy {
        restart: RestartPolicy::OnFailure,
        max_restarts: 3,
        restart_window: Duration::from_secs(300),
        backoff_base: Duration::from_secs(1),
        backoff_max: Duration::from_secs(60),
        startup_timeout: Duration::from_secs(10),
        stop_timeout: Duration::from_secs(10),
        idle_timeout: Some(Duration::from_secs(5)),
        check_interval: Some(Duration::from_secs(10)),
        wakeable: true,
    }
}

struct Story {
    life: Lifecycle,
    policy: Policy,
    now: u64,
}

impl Story {
    fn new() -> Self {
        Self { life: Lifecycle::new(RunId(0)), policy: policy(), now: 0 }
    }

    fn up() -> Self {
        let mut story = Self::new();
        story.start();
        story
    }

    fn tell(&mut self, event: Event) -> Vec<Effect> {
        self.life.step(event, Moment { now: Millis(self.now), dice: 20 }, &self.policy)
    }

    fn start(&mut self) {
        self.tell(Event::Start(Cause::Hand));
        self.tell(Event::Permit);
        self.become_ready();
    }

    fn become_ready(&mut self) {
        let run = self.life.run();
        self.tell(Event::Launched(run));
        self.tell(Event::Ready(run));
        assert_eq!(self.life.status(), Status::Running);
    }

    fn exit(&mut self, clean: bool) -> Vec<Effect> {
        let run = self.life.run();
        let words = format!("exited with code {}", u8::from(!clean));
        self.tell(Event::Exited(run, Ended { clean, words, status: ExitStatus::default() }))
    }

    fn gone(&mut self) -> Vec<Effect> {
        let run = self.life.run();
        self.tell(Event::Gone(run))
    }

    fn ring(&mut self, timer: Timer) -> Vec<Effect> {
        let generation = self.life.generation;
        self.tell(Event::Rang { timer, generation, last_active: Millis(0) })
    }

    fn check(&mut self, passed: bool) -> Vec<Effect> {
        let run = self.life.run();
        self.tell(Event::Checked { run, failure: (!passed).then(|| "answered 500".into()) })
    }
}

fn refused(effects: &[Effect]) -> Option<&WakeRefusal> {
    effects.iter().find_map(|effect| if let Effect::Refuse(refusal) = effect { Some(refusal) } else { None })
}

#[test]
fn a_request_wakes_a_sleeping_instance_and_is_let_in_when_it_is_ready() {
    let mut story = Story::new();
    assert_eq!(story.tell(Event::Wake { failed: None }), [Effect::RequestPermit]);
    assert_eq!(story.tell(Event::Wake { failed: None }), []);
    assert!(story.tell(Event::Permit).contains(&Effect::Launch(RunId(1))));
    story.tell(Event::Launched(RunId(1)));
    let effects = story.tell(Event::Ready(RunId(1)));
    assert!(effects.contains(&Effect::Admit { run: RunId(1), doubters: true }));
}

// faults: I1
#[test]
fn a_failed_wake_answers_all_at_once_and_is_forgotten_for_the_next_request() {
    let mut story = Story::new();
    for _ in 0..10 {
        story.tell(Event::Wake { failed: None });
        story.tell(Event::Permit);
        let run = story.life.run();
        story.tell(Event::Launched(run));
        let effects = story.ring(Timer::Startup);
        assert!(refused(&effects).is_some() && effects.contains(&Effect::Kill(run)));
        story.gone();
        assert_eq!(story.life.status(), Status::Failed);
        assert_eq!(story.life.reason(), Some("not ready within 10 s"));
    }
}

// faults: I2
#[test]
fn crashes_are_restarted_with_growing_delay_until_the_limit() {
    let mut story = Story::up();
    for n in 1..=3 {
        story.exit(false);
        assert_eq!(story.life.status(), Status::Restarting);
        story.gone();
        assert_eq!(story.ring(Timer::Backoff), [Effect::RequestPermit]);
        assert_eq!(story.life.restarts(), n);
        story.tell(Event::Permit);
        story.become_ready();
    }
    story.exit(false);
    story.gone();
    assert_eq!(story.life.status(), Status::Failed);
    let reason = story.life.reason().unwrap().to_owned();
    assert!(reason.contains("exited with code 1") && reason.contains("start it by hand"), "{reason}");
    assert!(refused(&story.tell(Event::Wake { failed: None })).is_some());
    assert_eq!(story.tell(Event::Start(Cause::Hand)), [Effect::RequestPermit]);
}

#[test]
fn a_request_that_found_a_run_broken_waits_for_its_restart() {
    let mut story = Story::up();
    let run = story.life.run();
    let effects = story.tell(Event::Wake { failed: Some(run) });
    assert!(matches!(effects[..], [Effect::Set { timer: Timer::Doubt, .. }]));
    let effects = story.exit(false);
    assert!(refused(&effects).is_none());
    story.gone();
    story.ring(Timer::Backoff);
    story.tell(Event::Permit);
    let next = story.life.run();
    story.tell(Event::Launched(next));
    assert!(story.tell(Event::Ready(next)).contains(&Effect::Admit { run: next, doubters: true }));
}

#[test]
fn doubt_ends_when_no_exit_comes() {
    let mut story = Story::up();
    let run = story.life.run();
    story.tell(Event::Wake { failed: Some(run) });
    assert_eq!(story.ring(Timer::Doubt), [Effect::Admit { run, doubters: true }]);
}

// faults: I17
#[test]
fn a_request_that_comes_while_it_goes_to_sleep_starts_it_again() {
    let mut story = Story::up();
    story.now = 6000;
    assert_eq!(story.ring(Timer::Idle), [Effect::CloseIfIdle]);
    story.tell(Event::DoorClosed(true));
    assert_eq!(story.life.status(), Status::Stopping);
    story.tell(Event::Wake { failed: None });
    story.exit(true);
    assert_eq!(story.gone(), [Effect::RequestPermit]);
}

#[test]
fn an_open_request_keeps_it_awake() {
    let mut story = Story::up();
    story.now = 6000;
    story.ring(Timer::Idle);
    assert!(matches!(story.tell(Event::DoorClosed(false))[..], [Effect::Set { timer: Timer::Idle, .. }]));
    assert_eq!(story.life.status(), Status::Running);
}

#[test]
fn idle_counts_from_the_last_request() {
    let mut story = Story::up();
    story.now = 6000;
    let generation = story.life.generation;
    let effects = story.tell(Event::Rang { timer: Timer::Idle, generation, last_active: Millis(4000) });
    assert!(matches!(effects[..], [Effect::Set { at: Millis(9000), .. }]));
}

// faults: I18
#[test]
fn one_failed_check_degrades_three_in_a_row_restart() {
    let mut story = Story::up();
    assert_eq!(story.life.health(), Health::Healthy);
    story.check(false);
    assert_eq!(story.life.health(), Health::Degraded);
    story.check(true);
    assert_eq!(story.life.health(), Health::Healthy);
    story.check(false);
    story.check(false);
    let effects = story.check(false);
    assert!(effects.contains(&Effect::Close) && effects.contains(&Effect::Terminate(RunId(1))));
    assert_eq!(story.life.status(), Status::Restarting);
    assert_eq!(story.life.check_counts().failed, 4);
}

#[test]
fn a_clean_exit_sleeps_unless_the_policy_says_always() {
    let mut story = Story::up();
    story.exit(true);
    story.gone();
    assert_eq!(story.life.status(), Status::Sleeping);
    let mut story = Story::up();
    story.policy.restart = RestartPolicy::Always;
    story.exit(true);
    story.gone();
    assert_eq!(story.life.status(), Status::Restarting);
}

// faults: C7
#[test]
fn a_command_that_does_not_exist_fails_without_a_crash_loop() {
    let mut story = Story::new();
    story.tell(Event::Start(Cause::Boot));
    story.tell(Event::Permit);
    let run = story.life.run();
    let words = "command not found: ./api".to_owned();
    let effects = story.tell(Event::LaunchFailed { run, words, permanent: true });
    assert!(effects.iter().all(|effect| !matches!(effect, Effect::Set { .. })));
    assert_eq!(story.life.status(), Status::Failed);
}

// faults: I5
#[test]
fn a_process_that_ignores_sigterm_is_killed_after_the_grace_period() {
    let mut story = Story::up();
    let effects = story.tell(Event::Stop(Stop::Keep));
    assert!(effects.contains(&Effect::Terminate(RunId(1))));
    assert_eq!(story.ring(Timer::Grace), [Effect::Kill(RunId(1))]);
    story.gone();
    assert_eq!(story.life.status(), Status::Stopped);
}

#[test]
fn a_stop_overtakes_a_launch() {
    let mut story = Story::new();
    story.tell(Event::Start(Cause::Hand));
    story.tell(Event::Permit);
    story.tell(Event::Stop(Stop::Forget));
    assert_eq!(story.tell(Event::Launched(RunId(1))), [Effect::Kill(RunId(1))]);
    assert_eq!(story.gone(), [Effect::Forgotten]);
}

#[test]
fn what_is_not_started_on_demand_is_not_on_its_way_down_either() {
    let mut story = Story::up();
    story.policy.wakeable = false;
    story.exit(true);
    let refused_with = |effects: &[Effect]| refused(effects).is_some();
    assert!(refused_with(&story.tell(Event::Wake { failed: None })));
    story.gone();
    assert!(refused_with(&story.tell(Event::Wake { failed: None })));
    assert_eq!(story.life.status(), Status::Sleeping);
    // A request that found it broken waits for news; there is none but its end.
    let mut story = Story::up();
    story.policy.wakeable = false;
    story.tell(Event::Wake { failed: Some(RunId(1)) });
    assert!(refused_with(&story.exit(true)));
    story.gone();
    assert_eq!(story.life.status(), Status::Sleeping);
}

#[test]
fn a_long_back_off_refuses_with_the_time_that_is_left() {
    let mut story = Story::up();
    story.policy.backoff_base = Duration::from_secs(40);
    story.exit(false);
    story.gone();
    let effects = story.tell(Event::Wake { failed: None });
    let Some(WakeRefusal::Failed { retry_after, .. }) = refused(&effects) else { panic!("let wait") };
    assert_eq!(retry_after.as_secs(), 40);
}

fn reconfigured(restart: bool) -> Event {
    Event::Reconfigured { restart: restart.then(|| "configuration changed: command".to_owned()) }
}

fn set(effects: &[Effect], wanted: Timer) -> Option<Millis> {
    effects.iter().find_map(|effect| match effect {
        Effect::Set { timer, at, .. } if *timer == wanted => Some(*at),
        _ => None,
    })
}

#[test]
fn another_idle_timeout_counts_from_the_last_request_and_the_timers_of_before_ring_in_vain() {
    let mut story = Story::up();
    let before = story.life.generation;
    story.policy.idle_timeout = Some(Duration::from_secs(60));
    story.policy.check_interval = None;
    story.now = 4000;
    let effects = story.tell(reconfigured(false));
    assert_eq!((set(&effects, Timer::Idle), set(&effects, Timer::Check)), (Some(Millis(4000)), None));
    assert_eq!((story.life.status(), story.life.health()), (Status::Running, Health::Unknown));
    assert_eq!(set(&story.ring(Timer::Idle), Timer::Idle), Some(Millis(60_000)));
    story.now = 5000;
    for timer in [Timer::Idle, Timer::Check] {
        let late = Event::Rang { timer, generation: before, last_active: Millis(0) };
        assert_eq!(story.tell(late), []);
    }
}

#[test]
fn a_check_under_way_is_not_joined_by_another() {
    let mut story = Story::up();
    assert_eq!(story.ring(Timer::Check), [Effect::Check(RunId(1))]);
    assert_eq!(set(&story.tell(reconfigured(false)), Timer::Check), None);
    assert!(set(&story.check(true), Timer::Check).is_some());
    assert!(set(&story.tell(reconfigured(false)), Timer::Check).is_some());
}

#[test]
fn a_check_that_was_under_way_when_another_daemon_took_over_is_not_waited_for() {
    let mut story = Story::up();
    story.ring(Timer::Check);
    let written = serde_json::to_string(&story.life).unwrap();
    story.life = serde_json::from_str(&written).unwrap();
    assert!(set(&story.tell(Event::Resumed(Found::Alive(RunId(1)))), Timer::Check).is_some());
    assert!(set(&story.tell(reconfigured(false)), Timer::Check).is_some());
}

#[test]
fn what_is_started_in_another_way_is_restarted_where_it_runs_and_forgiven_where_it_failed() {
    let mut story = Story::up();
    let effects = story.tell(reconfigured(true));
    assert_eq!(effects[..2], [Effect::Close, Effect::Terminate(RunId(1))]);
    assert_eq!(
        (story.life.status(), story.life.reason()),
        (Status::Restarting, Some("configuration changed: command"))
    );
    assert_eq!(story.gone(), [Effect::RequestPermit]);
    story.tell(Event::Permit);
    story.become_ready();
    assert_eq!(story.life.restarts(), 1);

    story.policy.max_restarts = 0;
    story.exit(false);
    story.gone();
    assert_eq!(story.life.status(), Status::Failed);
    story.tell(reconfigured(false));
    assert_eq!(story.life.status(), Status::Failed);
    assert_eq!(story.tell(reconfigured(true)), []);
    assert_eq!(story.life.status(), Status::Sleeping);
    story.tell(Event::Stop(Stop::Keep));
    story.tell(reconfigured(true));
    assert_eq!(story.life.status(), Status::Stopped, "a stop by hand holds");
}

#[test]
fn whose_service_is_removed_ends_for_good() {
    let mut story = Story::up();
    let effects = story.tell(Event::Stop(Stop::Removed));
    assert_eq!(refused(&effects), Some(&WakeRefusal::Unknown));
    assert!(effects.contains(&Effect::Terminate(RunId(1))));
    story.gone();
    assert!(story.life.is_at_rest());
    for event in [Event::Start(Cause::Reload), Event::Restart, reconfigured(true)] {
        assert_eq!(story.tell(event), []);
    }
}
