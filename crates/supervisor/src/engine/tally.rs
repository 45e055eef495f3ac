//! What is counted of a step, for metrics.

use tenement_core::{
    history::ExitCause,
    lifecycle::{Event, Found},
    slot::WakeStage,
    time::WallMillis,
    view::{CheckCounts, Woken},
};
use tenement_runtime::clock;

use super::{entry::Entry, transition::cause};
use crate::api::Totals;

/// What an instance was before a step.
pub(super) struct Before {
    restarts: u64,
    launching: bool,
    ending: bool,
    checks: CheckCounts,
    stage: Option<WakeStage>,
    exit: Option<ExitCause>,
    cause: Option<tenement_core::history::Cause>,
}

impl Before {
    pub(super) fn of(entry: &Entry, event: &Event) -> Self {
        let life = &entry.life;
        Self {
            restarts: life.restarts(),
            launching: life.is_launching(),
            ending: life.is_ending(),
            checks: life.check_counts(),
            stage: life.wake_stage(),
            exit: exit(entry, event),
            cause: cause(event),
        }
    }

    /// Counts what the step has changed.
    pub(super) fn count(self, entry: &mut Entry, totals: &mut Totals) {
        let life = &entry.life;
        let service = || entry.record.name.service.clone();
        if life.restarts() > self.restarts {
            *totals.restarts.entry(service()).or_default() += 1;
        }
        if self.launching && !life.is_launching() && life.up_since().is_none() {
            *totals.failed_starts.entry(service()).or_default() += 1;
        }
        if let Some(cause) = self.exit {
            *totals.exits.entry(service()).or_default().entry(cause).or_default() += 1;
        }
        let checks = life.check_counts();
        if checks != self.checks {
            let counts = totals.checks.entry(service()).or_default();
            counts.passed += checks.passed.saturating_sub(self.checks.passed);
            counts.failed += checks.failed.saturating_sub(self.checks.failed);
        }
        if life.is_ending() && !self.ending {
            entry.ended_by = self.cause;
        }
        self.time(entry);
    }

    /// Notes how long a stage of a wake took, once the next one is reached.
    fn time(self, entry: &mut Entry) {
        let stage = entry.life.wake_stage();
        if stage == self.stage {
            return;
        }
        wake(entry, stage);
        let now = clock::instant();
        let since = entry.stage_since.replace(now);
        let reached = match self.stage {
            Some(WakeStage::Queue) => stage == Some(WakeStage::Spawn),
            Some(WakeStage::Spawn) => stage == Some(WakeStage::Ready),
            _ => entry.life.up_since().is_some(),
        };
        if let (Some(stage), Some(since), true) = (self.stage, since, reached) {
            entry.slot.wakes().observe(stage, now.saturating_duration_since(since));
        }
    }
}

/// Notes how long all of a wake took, once it is over.
fn wake(entry: &mut Entry, stage: Option<WakeStage>) {
    if stage.is_some() {
        entry.waking_since.get_or_insert_with(clock::now);
        return;
    }
    let Some(since) = entry.waking_since.take() else { return };
    if entry.life.up_since().is_some() {
        let took_ms = clock::now().0.saturating_sub(since.0);
        entry.woken = Some(Woken { at: WallMillis(clock::wall().0.saturating_sub(took_ms)), took_ms });
    }
}

/// What ended a process. The news of its end may come after that of its tree's.
fn exit(entry: &Entry, event: &Event) -> Option<ExitCause> {
    let (Event::Exited(run, ended) | Event::Resumed(Found::Ended(run, ended))) = event else { return None };
    let life = &entry.life;
    let by_itself = *run == life.run() && (life.is_launching() || life.up_since().is_some());
    let asked = if by_itself { None } else { entry.ended_by.or(Some(tenement_core::history::Cause::Stop)) };
    Some(ExitCause::of(&ended.status, asked))
}
