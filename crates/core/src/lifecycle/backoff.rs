//! How long to wait after a crash, and when to give up.

use std::time::Duration;

use super::{Lifecycle, Moment};
use crate::{
    config::{OnDemand, RestartPolicy, Service, Settings},
    time::Millis,
};

/// What the configuration says about an instance's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What an exit leads to.
    pub restart: RestartPolicy,
    /// More crashes than this within `restart_window`: failed.
    pub max_restarts: u32,
    /// See `max_restarts`; also how long a run must last to be a good one.
    pub restart_window: Duration,
    /// The first back-off.
    pub backoff_base: Duration,
    /// The longest back-off.
    pub backoff_max: Duration,
    /// Until ready.
    pub startup_timeout: Duration,
    /// From SIGTERM to the kill.
    pub stop_timeout: Duration,
    /// Without a request before it sleeps.
    pub idle_timeout: Option<Duration>,
    /// Between health checks; `None`: not checked.
    pub check_interval: Option<Duration>,
    /// Whether a request may start it.
    pub wakeable: bool,
}

impl Policy {
    /// From the configuration.
    #[must_use]
    pub fn of(settings: &Settings, service: &Service) -> Self {
        Self {
            restart: service.restart,
            max_restarts: settings.max_restarts,
            restart_window: settings.restart_window,
            backoff_base: settings.backoff_base,
            backoff_max: settings.backoff_max,
            startup_timeout: service.startup_timeout,
            stop_timeout: settings.stop_timeout,
            idle_timeout: service.idle_timeout,
            check_interval: service.health.as_ref().map(|_| settings.health_check_interval),
            wakeable: service.on_demand != OnDemand::Never,
        }
    }

    /// base·2ⁿ, at most the maximum, spread by ±20 % so that instances that fell together don't rise together.
    fn delay(&self, exponent: u32, dice: u64) -> Duration {
        let exact = self.backoff_base.saturating_mul(1 << exponent.min(30)).min(self.backoff_max);
        let percent = 80 + u32::try_from(dice % 41).unwrap_or(20);
        (exact * percent / 100).min(self.backoff_max)
    }
}

/// What a crash leads to.
pub(super) enum Verdict {
    /// Wait this long, then start again.
    Again(Duration),
    /// More crashes than allowed.
    Enough,
}

impl Lifecycle {
    /// Books a crash of a run that was up for `lasted`.
    pub(super) fn crashed(&mut self, lasted: Duration, policy: &Policy, moment: Moment) -> Verdict {
        if lasted >= policy.restart_window {
            self.backoff_exponent = 0;
        }
        let expired = |at: &Millis| moment.now.since(*at) > policy.restart_window;
        while self.crashes.front().is_some_and(expired) {
            self.crashes.pop_front();
        }
        self.crashes.push_back(moment.now);
        if self.crashes.len() > policy.max_restarts as usize {
            return Verdict::Enough;
        }
        let delay = policy.delay(self.backoff_exponent, moment.dice);
        self.backoff_exponent += 1;
        Verdict::Again(delay)
    }

    /// A start by hand wipes the slate.
    pub(super) fn pardon(&mut self) {
        self.crashes.clear();
        self.backoff_exponent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::RunId;

    fn policy() -> Policy {
        Policy {
            restart: RestartPolicy::OnFailure,
            max_restarts: 3,
            restart_window: Duration::from_secs(300),
            backoff_base: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            startup_timeout: Duration::from_secs(10),
            stop_timeout: Duration::from_secs(10),
            idle_timeout: None,
            check_interval: None,
            wakeable: true,
        }
    }

    #[test]
    fn delays_double_within_their_spread_and_stop_at_the_maximum() {
        for (exponent, exact) in [(0, 1), (1, 2), (5, 32), (6, 60), (40, 60)] {
            for dice in 0..41 {
                let delay = policy().delay(exponent, dice).as_millis();
                assert!(
                    (exact * 800..=(exact * 1200).min(60_000)).contains(&delay),
                    "{exponent} {dice} {delay}"
                );
            }
        }
    }

    #[test]
    fn the_fourth_crash_within_the_window_is_enough() {
        let mut life = Lifecycle::new(RunId(0));
        let mut crash = |at, lasted| {
            let moment = Moment { now: Millis(at), dice: 0 };
            matches!(life.crashed(Duration::from_secs(lasted), &policy(), moment), Verdict::Enough)
        };
        assert!(!crash(0, 0) && !crash(1000, 0) && !crash(2000, 0));
        assert!(crash(3000, 0));
        assert!(!crash(400_000, 0), "crashes older than the window don't count");
    }

    #[test]
    fn a_good_run_resets_the_back_off() {
        let mut life = Lifecycle::new(RunId(0));
        let mut delay = |at, lasted| {
            let moment = Moment { now: Millis(at), dice: 20 };
            match life.crashed(Duration::from_secs(lasted), &policy(), moment) {
                Verdict::Again(delay) => delay.as_millis(),
                Verdict::Enough => panic!("not yet"),
            }
        };
        assert_eq!((delay(0, 0), delay(10_000, 0)), (1000, 2000));
        assert_eq!(delay(1_000_000, 300), 1000);
    }
}
