//! One daemon follows another, of the same program or another one, and nobody notices.
//!
//! ```text
//!   daemon     upgrade ─┐                 ┌─ hand_over ─► released ─┐                            ┌─ leave ─► its end
//!   keeper              └─► start ───┐    │                         └─► all that is held ───┐    │
//!   successor                        └─ prepared │ refused                                  └─ ready │ not ready
//! ```
//!
//! Until `released` a successor that can't run changes nothing. From then on the state is its own; if it does not get
//! ready, the former program is started again, with the configuration that was in effect, and takes over in its place.

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tenement_core::time::{Millis, seconds};

use super::{
    Keeper,
    daemon::Daemon,
    protocol::{Ended, ToDaemon, ToKeeper},
    say,
    start::Program,
};
use crate::{
    clock,
    process::{Exit, Status},
};

/// What each stage has, unless something else was asked for.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the way from predecessor to successor is held by, for [`Relay::over`](super::Relay::over).
pub const PREDECESSOR: &str = "predecessor";

/// A daemon that is to take the place of another.
pub(super) struct Successor {
    pub(super) daemon: Daemon,
    /// When it is given up.
    pub(super) deadline: Millis,
    /// What each stage has.
    patience: Duration,
    /// What daemons are started from once it serves; none if that stays as it is.
    program: Option<Program>,
    path: PathBuf,
    stage: Stage,
    version: String,
    /// Why it can't run, as it says.
    why: Option<String>,
    /// The predecessor's end of the way between them.
    relay: Option<OwnedFd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It looks whether it can run.
    Preparing,
    /// The predecessor is letting go.
    Waiting,
    /// It takes over.
    Taking,
    /// Another one could not, and this is the former program, which takes over as after a crash.
    FallingBack,
}

impl Keeper {
    /// Begins an upgrade, to another program or with the file where the present one came from. Whether the `daemon` asked,
    /// which is told then if it can't be; one that is under way goes on either way.
    pub(super) fn upgrade(&mut self, program: Option<&Path>, patience: Option<Duration>, daemon: bool) {
        let Err(why) = self.begin(program, patience.unwrap_or(PATIENCE)) else { return };
        say(&format!("not upgraded: {why}"));
        if let Some(one) = self.daemon.as_mut().filter(|_| daemon) {
            one.order(ToDaemon::NotUpgraded { why }, None);
        }
    }

    fn begin(&mut self, program: Option<&Path>, patience: Duration) -> Result<(), String> {
        if self.successor.is_some() {
            return Err("an upgrade is under way".to_owned());
        }
        if self.daemon.is_none() || !self.course.is_ready() || self.course.is_asked() {
            return Err("the daemon is about to start or to end".to_owned());
        }
        let path = program.unwrap_or(self.program.path()).to_owned();
        let cant = |error| format!("'{}' can't be executed: {error}", path.display());
        let program = Program::at(&path).map_err(cant)?;
        let daemon = Daemon::start_successor(&program).map_err(cant)?;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::now().0 * 1000));
        self.successor = Some(Successor {
            daemon,
            deadline: clock::now().after(patience),
            patience,
            program: Some(program),
            path,
            stage: Stage::Preparing,
            version: String::new(),
            why: None,
            relay: None,
        });
        Ok(())
    }

    fn not_upgraded(&mut self, why: String) {
        // The rest the successor has said itself.
        say(&format!("not upgraded: {}", why.lines().next().unwrap_or_default()));
        self.tell("READY=1");
        if let Some(daemon) = &mut self.daemon {
            daemon.order(ToDaemon::NotUpgraded { why }, None);
        }
    }

    pub(super) fn hear_successor(&mut self) {
        while let Some((message, fds)) =
            self.successor.as_mut().and_then(|successor| successor.daemon.receive())
        {
            match message {
                ToKeeper::Prepared { version } => self.prepared(version),
                ToKeeper::Refused { why } => {
                    if let Some(successor) = &mut self.successor {
                        successor.why = Some(why);
                    }
                }
                ToKeeper::Hold { name, more } => self.held.hold(name, more, fds),
                ToKeeper::Drop { name } => self.held.drop(&name),
                ToKeeper::Ready => self.succeeded(),
                _ => {}
            }
        }
    }

    /// What those say that have been followed.
    pub(super) fn hear_leaving(&mut self) {
        for daemon in &mut self.leaving {
            while let Some((message, _)) = daemon.receive() {
                if let ToKeeper::Exit(ended) = message {
                    self.exits.note(ended);
                }
            }
        }
    }

    fn prepared(&mut self, version: String) {
        let Some(successor) = self.successor.as_mut().filter(|one| one.stage == Stage::Preparing) else {
            return;
        };
        successor.version = version;
        successor.stage = Stage::Waiting;
        successor.deadline = clock::now().after(successor.patience);
        if let Some(daemon) = &mut self.daemon {
            daemon.order(ToDaemon::HandOver, None);
        }
    }

    /// The daemon has let go.
    pub(super) fn released(&mut self) {
        if self.successor.is_none() {
            let why = self.lost.take().unwrap_or_else(|| "nobody is there to take over".to_owned());
            return self.fall_back(why);
        }
        let relay = self.relay();
        self.let_take_over(relay);
    }

    /// A way between two daemons: one end for the predecessor, as the other is held for who comes.
    fn relay(&mut self) -> Option<OwnedFd> {
        let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.ok()?;
        self.held.hold(PREDECESSOR.to_owned(), false, vec![theirs]);
        Some(ours)
    }

    fn let_take_over(&mut self, relay: Option<OwnedFd>) {
        let Some(successor) = &mut self.successor else { return };
        successor.relay = relay;
        successor.stage = Stage::Taking;
        successor.deadline = clock::now().after(successor.patience);
        successor.daemon.give(&self.held);
    }

    fn succeeded(&mut self) {
        let Some(successor) = self.successor.take() else { return };
        self.held.drop(PREDECESSOR);
        if let Some(program) = successor.program {
            self.program = program;
        }
        if let Some(mut old) = self.daemon.replace(successor.daemon) {
            let version = Some(successor.version).filter(|_| successor.stage == Stage::Taking);
            old.order(ToDaemon::Leave { version, why: successor.why }, successor.relay);
            self.leaving.push(old);
        }
        self.ready();
    }

    pub(super) fn successor_died(&mut self, ended: &Ended) {
        self.hear_successor();
        let Some(successor) = self.successor.take() else { return };
        self.held.drop(PREDECESSOR);
        let how = Exit { status: ended.status(), oom: false };
        let path = successor.path.display();
        let why =
            successor.why.unwrap_or_else(|| format!("'{path}' can't take over: {how} before it was ready"));
        match successor.stage {
            Stage::Preparing => self.not_upgraded(why),
            // Once it has let go, the one that is there can't go on by itself.
            Stage::Waiting => self.lost = Some(why),
            Stage::Taking if self.daemon.is_some() => self.fall_back(why),
            // Then it was a daemon like any other.
            Stage::Taking | Stage::FallingBack => {
                self.leave(why.clone());
                let next = self.course.died(ended.status(), clock::now());
                self.go_on(next, &why);
            }
        }
    }

    /// The former program is started again, and takes over from the daemon that has let go.
    fn fall_back(&mut self, why: String) {
        say(&format!("not upgraded: {why}; the former program is started again"));
        let relay = self.relay();
        match Daemon::start(&self.program, &self.held) {
            Ok(daemon) => {
                self.successor = Some(Successor {
                    daemon,
                    deadline: clock::now().after(PATIENCE),
                    patience: PATIENCE,
                    program: None,
                    path: self.program.path().to_owned(),
                    stage: Stage::FallingBack,
                    version: String::new(),
                    why: Some(why),
                    relay,
                });
            }
            Err(error) => {
                self.held.drop(PREDECESSOR);
                self.leave(why);
                let next = self.course.died(Status::Unknown, clock::now());
                self.go_on(next, &format!("the daemon could not be started: {error}"));
            }
        }
    }

    /// The daemon that has let go finishes what it is about, without anybody who takes its connections.
    fn leave(&mut self, why: String) {
        if let Some(mut old) = self.daemon.take() {
            old.order(ToDaemon::Leave { version: None, why: Some(why) }, None);
            self.leaving.push(old);
        }
    }

    pub(super) fn give_up_late_successor(&mut self, now: Millis) {
        if let Some(successor) = self.successor.as_mut().filter(|successor| successor.deadline <= now) {
            let path = successor.path.display();
            let late =
                format!("'{path}' can't take over: it was not ready within {}", seconds(successor.patience));
            successor.why.get_or_insert(late);
            successor.deadline = now.after(PATIENCE);
            successor.daemon.signal(libc::SIGKILL);
        }
    }

    /// It has changed nothing yet.
    fn give_up_preparing(&mut self) {
        if let Some(successor) = self.successor.take() {
            successor.daemon.signal(libc::SIGKILL);
            self.leaving.push(successor.daemon);
        }
    }

    /// The daemon has died. Whether its successor takes its place all the same.
    pub(super) fn goes_on_with_successor(&mut self) -> bool {
        match self.successor.as_ref().map(|successor| successor.stage) {
            None => false,
            Some(Stage::Preparing) => {
                self.give_up_preparing();
                false
            }
            Some(Stage::Waiting) => {
                self.let_take_over(None);
                true
            }
            Some(Stage::Taking | Stage::FallingBack) => true,
        }
    }

    /// The end is wanted. Whether the successor is to bring it about, once it is ready.
    pub(super) fn ends_with_successor(&mut self) -> bool {
        match self.successor.as_ref().map(|successor| successor.stage) {
            None => false,
            Some(Stage::Preparing) => {
                self.give_up_preparing();
                false
            }
            Some(Stage::Waiting | Stage::Taking | Stage::FallingBack) => true,
        }
    }
}
