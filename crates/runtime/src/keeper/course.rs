//! What to do when the daemon ends. Pure, so that it is tested without processes.

use std::time::Duration;

use tenement_core::time::Millis;

use crate::process::Status;

const BACK_OFF_FIRST: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(10);
/// A daemon that served for so long was a good one.
const STABLE: Duration = Duration::from_secs(10);
/// How often a daemon is started to end what another one left, when that was killed while it did so.
const ENDS_MAX: u32 = 3;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Start a daemon after a pause.
    Start(Duration),
    /// The keeper ends.
    End {
        /// With this exit code.
        code: u8,
        /// What children are left are to be killed before.
        sweep: bool,
    },
}

/// What has been so far.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// Some daemon served.
    was_ready: bool,
    /// Since when the present one serves.
    ready_at: Option<Millis>,
    /// The present one said that its orderly end has begun.
    ending: bool,
    /// A signal asked for the end.
    asked: bool,
    failures: u32,
    ends: u32,
}

impl Course {
    pub(super) fn ready(&mut self, now: Millis) {
        self.was_ready = true;
        self.ready_at = Some(now);
    }

    pub(super) fn ending(&mut self) {
        self.ending = true;
    }

    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    /// Whether the end is wanted.
    pub(super) fn is_asked(&self) -> bool {
        self.asked || self.ends > 0
    }

    /// Whether the present daemon listens to signals. The very first one has nothing yet that they could do harm to.
    pub(super) fn takes_signals(&self) -> bool {
        self.ready_at.is_some() || !self.was_ready
    }

    /// Whether the present daemon serves.
    pub(super) fn is_ready(&self) -> bool {
        self.ready_at.is_some()
    }

    /// The daemon has ended.
    pub(super) fn died(&mut self, status: Status, now: Millis) -> Next {
        let (ready_at, ending) = (self.ready_at.take(), std::mem::take(&mut self.ending));
        if !self.was_ready {
            return Next::End { code: exit_code(status), sweep: false };
        }
        if self.is_asked() || ending {
            let is_done = match status {
                Status::Code(0) => true,
                // Not everything went well, but it came to its end. Others are those of a panic and the like.
                Status::Code(1) => ending,
                _ => false,
            };
            self.ends += 1;
            if is_done || self.ends > ENDS_MAX {
                return Next::End { code: exit_code(status), sweep: true };
            }
            return Next::Start(Duration::ZERO);
        }
        if ready_at.is_some_and(|at| now.since(at) >= STABLE) {
            self.failures = 0;
        }
        self.failures += 1;
        Next::Start(pause(self.failures))
    }
}

/// Before the start that follows so many failures.
fn pause(failures: u32) -> Duration {
    match failures.checked_sub(2) {
        None => Duration::ZERO,
        Some(doublings) => BACK_OFF_FIRST.saturating_mul(1 << doublings.min(10)).min(BACK_OFF_MAX),
    }
}

/// As a shell says it.
pub(super) fn exit_code(status: Status) -> u8 {
    let code = match status {
        Status::Code(code) => code,
        Status::Signal { number, .. } => 128 + number,
        Status::Unknown => 1,
    };
    u8::try_from(code & 0xff).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: Status = Status::Signal { number: 9, core: false };
    const AT_ONCE: Next = Next::Start(Duration::ZERO);

    fn serving() -> Course {
        let mut course = Course::default();
        course.ready(Millis(0));
        course
    }

    #[test]
    fn a_first_start_that_comes_to_nothing_is_the_end_with_its_code() {
        for (status, code) in [(Status::Code(2), 2), (Status::Code(1), 1), (KILLED, 137)] {
            assert_eq!(Course::default().died(status, Millis(5)), Next::End { code, sweep: false });
        }
    }

    #[test]
    fn pauses_double_up_to_ten_seconds_and_begin_anew_after_a_good_one() {
        let mut course = serving();
        let pauses: Vec<_> = (0..10).map(|_| course.died(KILLED, Millis(100))).collect();
        let wanted = [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000];
        assert_eq!(pauses, wanted.map(|ms| Next::Start(Duration::from_millis(ms))));
        course.ready(Millis(1000));
        assert_eq!(course.died(KILLED, Millis(10_999)), Next::Start(BACK_OFF_MAX), "not for long enough");
        course.ready(Millis(20_000));
        assert_eq!(course.died(KILLED, Millis(30_000)), AT_ONCE);
    }

    #[test]
    fn an_end_that_was_asked_for_is_the_end() {
        for (ending, status, code) in
            [(true, Status::Code(0), 0), (false, Status::Code(0), 0), (true, Status::Code(1), 1)]
        {
            let mut course = serving();
            course.ask();
            if ending {
                course.ending();
            }
            assert_eq!(course.died(status, Millis(5)), Next::End { code, sweep: true });
        }
        let mut course = serving();
        course.ending();
        let done = course.died(Status::Code(0), Millis(5));
        assert_eq!(done, Next::End { code: 0, sweep: true }, "somebody told the daemon itself");
    }

    #[test]
    fn a_daemon_that_is_killed_while_it_ends_is_followed_by_three_at_most() {
        let mut course = serving();
        course.ask();
        for _ in 0..3 {
            assert_eq!(course.died(KILLED, Millis(5)), AT_ONCE);
            assert!(course.is_asked() && !course.takes_signals());
        }
        assert_eq!(course.died(KILLED, Millis(5)), Next::End { code: 137, sweep: true });
    }

    #[test]
    fn one_that_cannot_start_has_not_ended_what_is_left() {
        let mut course = serving();
        course.ask();
        assert_eq!(course.died(KILLED, Millis(5)), AT_ONCE);
        assert_eq!(course.died(Status::Code(1), Millis(5)), AT_ONCE);
        course.ready(Millis(6));
        course.ending();
        assert_eq!(course.died(Status::Code(0), Millis(9)), Next::End { code: 0, sweep: true });
    }
}
