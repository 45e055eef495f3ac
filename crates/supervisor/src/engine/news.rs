//! What tasks found out.

use tenement_core::{lifecycle::Event, name::InstanceName};
use tenement_runtime::clock;

use super::{Engine, message::News};

impl Engine {
    pub(super) fn news(&mut self, name: &InstanceName, news: News) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        match news {
            News::Event(event) => {
                if let Event::Checked { .. } = event {
                    entry.last_check = Some(clock::wall());
                }
                if let Event::Gone(run) = event {
                    self.runs.gone(name, run);
                    entry.process = None;
                    entry.reservation = None;
                }
                self.step(name, event);
            }
            News::Launched(run, process, reservation) => {
                entry.process = Some(process);
                entry.reservation = Some(reservation);
                self.step(name, Event::Launched(run));
            }
            News::LaunchFailed { run, words, permanent, command_not_found } => {
                entry.command_not_found = command_not_found;
                self.step(name, Event::LaunchFailed { run, words, permanent });
            }
            News::Ready(run, upstream) => {
                if entry.slot.service().health.is_some() {
                    // A start ends with a good check.
                    entry.last_check = Some(clock::wall());
                }
                if entry.waiters.is_empty() {
                    drop(upstream.opened.take());
                }
                entry.upstream = Some(upstream);
                self.step(name, Event::Ready(run));
            }
            News::Drained => self.drained(name),
            News::Saved(saved) => self.saved(name, saved),
            News::Erased(erased) => self.erased(name, erased),
            News::RestErased(erased) => self.rest_erased(name, erased),
        }
    }
}
