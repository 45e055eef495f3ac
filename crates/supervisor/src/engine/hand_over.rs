//! Leaving everything to a daemon that takes over.
//!
//! ```text
//!   No ── HandOver ──► Soon: no start begins, commands wait ── nothing short is under way, or too late ──► Done
//! ```
//!
//! Once that is done, the loop does nothing any more. Whoever waits for an instance waits on: the data plane moves its
//! connection to the successor. Commands are refused, as nothing has been done of them; who waits for one that was too slow is
//! told that it goes on there.

use std::{sync::Arc, time::Duration};

use tenement_core::{history::Actor, name::InstanceName, time::Millis, wake::WakeRefusal};
use tenement_runtime::clock;
use tokio::sync::oneshot;

use super::{
    Engine,
    entry::{Busy, Stage},
    message::{Command, Message},
};
use crate::api::CommandError;

/// How long starts that somebody waits for may take to finish.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far it is.
#[derive(Default)]
pub(super) enum HandOver {
    #[default]
    No,
    Soon {
        by: Millis,
        replies: Vec<oneshot::Sender<()>>,
        held: Vec<(InstanceName, Command, Option<Actor>)>,
    },
    /// With the requests that wait for an instance: an answer would be an error.
    Done(Vec<oneshot::Sender<Result<(), WakeRefusal>>>),
}

impl Engine {
    pub(super) fn begin_hand_over(&mut self, reply: oneshot::Sender<()>) {
        match &mut self.hand_over {
            HandOver::No => {
                let by = clock::now().after(PATIENCE);
                self.hand_over = HandOver::Soon { by, replies: vec![reply], held: Vec::new() };
            }
            HandOver::Soon { replies, .. } => replies.push(reply),
            HandOver::Done(_) => {
                let _ = reply.send(());
            }
        }
    }

    /// What of a message is to be handled as ever.
    pub(super) fn while_handing_over(&mut self, message: Message) -> Option<Message> {
        match (&mut self.hand_over, message) {
            (HandOver::No, message) => Some(message),
            (HandOver::Soon { held, .. }, Message::Command { name, command, actor }) => {
                held.push((name, command, actor));
                None
            }
            (HandOver::Done(waiting), Message::Wake { reply, .. }) => {
                waiting.retain(|waiter| !waiter.is_closed());
                waiting.push(reply);
                None
            }
            (HandOver::Done(_), Message::Command { command, .. }) => {
                command.refuse();
                None
            }
            (HandOver::Done(_), Message::Shutdown(reply)) => {
                let _ = reply.send(());
                None
            }
            (HandOver::Done(_), Message::News(..) | Message::Hurry) => None,
            (_, message) => Some(message),
        }
    }

    /// The next to start, as long as starts begin.
    pub(super) fn permit(&mut self) -> Option<InstanceName> {
        match self.hand_over {
            HandOver::No => self.permits.grant(),
            _ => None,
        }
    }

    /// The next to be restarted for another configuration, as long as starts begin.
    pub(super) fn replacement(&mut self) -> Option<(InstanceName, String)> {
        match self.hand_over {
            HandOver::No => self.next_to_replace(),
            _ => None,
        }
    }

    pub(super) fn hand_over_if_quiet(&mut self, now: Millis) {
        let HandOver::Soon { by, .. } = &self.hand_over else { return };
        let short = |busy: &Busy| !matches!(busy, Busy::Stopping { stage: Stage::Ending(_), .. });
        let quiet = self.entries.values().all(|entry| {
            entry.starters.is_empty() && !entry.life.is_between() && !entry.busy.as_ref().is_some_and(short)
        });
        if quiet || *by <= now {
            self.hand_over_now(now);
        }
    }

    fn hand_over_now(&mut self, now: Millis) {
        let HandOver::Soon { replies, held, .. } =
            std::mem::replace(&mut self.hand_over, HandOver::Done(Vec::new()))
        else {
            return;
        };
        held.into_iter().for_each(|(_, command, _)| command.refuse());
        for (name, entry) in &mut self.entries {
            entry.answer_starters(&Err(CommandError::GoesOn(name.clone())));
            if let Some(busy) = entry.busy.take() {
                busy.leave(name);
            }
            entry.queue.drain(..).for_each(|(command, _)| command.refuse());
            if entry.slot.in_flight() > 0 {
                entry.slot.traffic.touch(now);
            }
            if entry.process.is_some() {
                self.runs.changed(name, entry.to_remember());
            }
        }
        let runs = Arc::clone(&self.runs);
        self.tasks.spawn_blocking(move || {
            runs.flush();
            for reply in replies {
                let _ = reply.send(());
            }
        });
    }
}

impl Command {
    fn refuse(self) {
        let error = CommandError::HandedOver;
        match self {
            Self::Spawn { reply, .. } | Self::Restart { reply } => drop(reply.send(Err(error))),
            Self::Stop { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}

impl Busy {
    /// The successor finds it begun.
    fn leave(self, name: &InstanceName) {
        let error = CommandError::GoesOn(name.clone());
        match self {
            Self::Starting { reply, .. } | Self::Restarting { reply } => drop(reply.send(Err(error))),
            Self::Stopping { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}
