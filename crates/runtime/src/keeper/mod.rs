//! `ten serve` is a keeper and a daemon. This is the keeper: it starts the daemon, starts it again when it dies, and has in
//! its hands what must not die with it: listening sockets, the instances' pipes, the exits of its orphans.
//!
//! ```text
//!            ┌── pause ◄── died ──────────┐
//!            ▼                            │
//!   start ─► starting ── ready ──► serving ── SIGTERM, passed on ──► ending ── exit ──► children killed ─► end
//!              │ ▲                                                     │
//!              │ └──────────────── died: at most 3 times ──────────────┘
//!              └── the first one ended: the keeper ends with its code
//! ```
//!
//! [`upgrade`] is how one daemon follows another without an end in between. It is small, has one thread and no runtime, and reads no configuration. It may be killed at any time: then the daemon
//! goes on without it. [`Link`] is the daemon's side.

mod channel;
mod children;
mod course;
mod daemon;
mod held;
mod identity;
mod link;
mod memory;
mod notify;
mod protocol;
mod relay;
mod signals;
mod start;
mod upgrade;

use std::{
    collections::HashSet,
    io::{self, Write},
    os::fd::OwnedFd,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tenement_core::time::{Millis, seconds};

pub use identity::Identity;
pub use link::{Inheritance, Link, Offer, Order};
pub use relay::{Note, Relay, Said};
pub use start::VARIABLE;
pub use upgrade::PREDECESSOR;

use crate::{
    clock, limits,
    process::{Exit, Status},
    seldom::Seldom,
};
use children::Exits;
use course::{Course, Next};
use daemon::Daemon;
use held::Held;
use notify::Manager;
use protocol::{Ended, ToKeeper};
use signals::{Signal, Signals};
use start::Program;
use upgrade::Successor;

/// What killed children have to be gone.
const SWEEP: Duration = Duration::from_secs(10);

static NO_ROOM: Seldom = Seldom::new();

struct Keeper {
    signals: Signals,
    manager: Manager,
    held: Held,
    exits: Exits,
    course: Course,
    daemon: Option<Daemon>,
    /// What daemons are started from.
    program: Program,
    /// One that is to take the place of the daemon.
    successor: Option<Successor>,
    /// Why one that the daemon lets go for is gone already.
    lost: Option<String>,
    /// Those that have been followed, and finish what they are about.
    leaving: Vec<Daemon>,
    /// When to start a daemon, if there is none.
    start_at: Option<Millis>,
    /// Children from before this program was executed: somebody else's.
    strangers: HashSet<(u32, u64)>,
    /// The exit code, as soon as the end has come.
    done: Option<u8>,
}

/// Runs daemons until the end is asked for, or the first one could not start. Returns the exit code. To be called
/// while this process has one thread.
///
/// # Errors
/// The first daemon could not be started.
pub fn run() -> io::Result<u8> {
    limits::raise_nofile();
    let signals = Signals::watch()?;
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        say(&format!("what a daemon leaves when it dies can't be watched: {error}"));
    }
    let mut keeper = Keeper {
        signals,
        manager: Manager::from_env(),
        held: Held::default(),
        exits: Exits::default(),
        course: Course::default(),
        daemon: None,
        program: Program::own()?,
        successor: None,
        lost: None,
        leaving: Vec::new(),
        start_at: None,
        strangers: children::living(),
        done: None,
    };
    keeper.daemon = Some(Daemon::start(&keeper.program, &keeper.held)?);
    memory::give_back();
    loop {
        keeper.turn();
        if let Some(code) = keeper.done {
            return Ok(code);
        }
    }
}

impl Keeper {
    /// Waits for something to happen and does what follows from it.
    fn turn(&mut self) {
        let now = clock::now();
        let start_in = self.start_at.map(|at| at.since(now));
        if start_in == Some(Duration::ZERO) {
            return self.start();
        }
        let send_in = self.daemons().filter_map(Daemon::try_again_in).min();
        let give_up_in = self.successor.as_ref().map(|successor| successor.deadline.since(now));
        let timeout = start_in.into_iter().chain(send_in).chain(give_up_in).min().map(timespec);
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        fds.extend(self.daemons().filter_map(|daemon| daemon.watched(&self.exits)));
        // Nothing but an interruption, or want of memory in the kernel, for a moment.
        let _ = poll(&mut fds, timeout.as_ref());
        drop(fds);
        self.hear();
        self.hear_successor();
        self.hear_leaving();
        self.give_up_late_successor(clock::now());
        let next = self.successor.as_mut().map(|successor| &mut successor.daemon);
        for daemon in self.daemon.iter_mut().chain(next).chain(&mut self.leaving) {
            daemon.send(&self.held, &self.exits);
        }
        while let Some(signal) = self.signals.next() {
            match signal {
                Signal::Child => self.reap(),
                Signal::End(number) => self.end(number),
                Signal::Other(libc::SIGHUP) => self.upgrade(None, None, false),
                Signal::Other(number) => self.pass_on(number),
            }
        }
    }

    fn daemons(&self) -> impl Iterator<Item = &Daemon> {
        let next = self.successor.as_ref().map(|successor| &successor.daemon);
        self.daemon.iter().chain(next).chain(&self.leaving)
    }

    fn start(&mut self) {
        self.start_at = None;
        match Daemon::start(&self.program, &self.held) {
            Ok(daemon) => self.daemon = Some(daemon),
            Err(error) => {
                let next = self.course.died(Status::Unknown, clock::now());
                self.go_on(next, &format!("the daemon could not be started: {error}"));
            }
        }
    }

    /// Takes in what the daemon has sent.
    fn hear(&mut self) {
        while let Some((message, fds)) = self.daemon.as_mut().and_then(Daemon::receive) {
            match message {
                ToKeeper::Hold { name, more } => self.hold(name, more, fds),
                ToKeeper::Drop { name } => self.held.drop(&name),
                ToKeeper::Ready => self.ready(),
                ToKeeper::Ending => {
                    self.course.ending();
                    self.tell("STOPPING=1");
                }
                ToKeeper::Upgrade { program, patience_ms } => {
                    self.upgrade(program.as_deref(), patience_ms.map(Duration::from_millis), true);
                }
                ToKeeper::Released => self.released(),
                ToKeeper::Exit(ended) => self.exits.note(ended),
                ToKeeper::ExitsSeen { exits } => self.exits.forget(&exits),
                ToKeeper::Prepared { .. }
                | ToKeeper::Refused { .. }
                | ToKeeper::Hello { .. }
                | ToKeeper::Unknown => {}
            }
        }
    }

    fn hold(&mut self, name: String, more: bool, fds: Vec<OwnedFd>) {
        if held::fits(&fds) {
            return self.held.hold(name, more, fds);
        }
        if !more {
            self.held.drop(&name);
        }
        if let Some(unsaid) = NO_ROOM.now() {
            say(&format!(
                "no descriptor is left to hold '{name}' and {unsaid} others: if the daemon dies, what only it has of them is \
                 lost; raise the limit of open files (ulimit -n, LimitNOFILE=)"
            ));
        }
    }

    fn ready(&mut self) {
        self.course.ready(clock::now());
        self.tell("READY=1");
        if self.course.is_asked()
            && let Some(daemon) = &self.daemon
        {
            daemon.signal(libc::SIGTERM);
        }
    }

    fn tell(&self, what: &str) {
        if let Err(error) = self.manager.tell(what) {
            say(&format!("the service manager could not be told {what}: {error}"));
        }
    }

    fn reap(&mut self) {
        while let Some(ended) = children::reap() {
            let is = |daemon: &Daemon| daemon.pid() == ended.pid;
            if self.daemon.as_ref().is_some_and(is) {
                self.died(&ended);
            } else if self.successor.as_ref().is_some_and(|successor| is(&successor.daemon)) {
                self.successor_died(&ended);
            } else if let Some(index) = self.leaving.iter().position(is) {
                self.hear_leaving();
                self.leaving.remove(index);
            } else {
                self.exits.note(ended);
            }
        }
    }

    fn died(&mut self, ended: &Ended) {
        self.hear();
        self.daemon = None;
        if self.goes_on_with_successor() {
            return;
        }
        let next = self.course.died(ended.status(), clock::now());
        self.go_on(next, &format!("the daemon is gone ({})", Exit { status: ended.status(), oom: false }));
    }

    fn go_on(&mut self, next: Next, what: &str) {
        match next {
            Next::Start(pause) => {
                let when = if pause.is_zero() { "now".to_owned() } else { format!("in {}", seconds(pause)) };
                say(&format!("{what}: it is started again {when}; its instances go on"));
                self.start_at = Some(clock::now().after(pause));
            }
            Next::End { code, sweep } => {
                if sweep && code != 0 {
                    say(&format!("{what}, though it was to end everything: what is left is killed"));
                }
                if sweep {
                    self.sweep();
                }
                self.done = Some(code);
            }
        }
    }

    /// Somebody asked for the end of everything.
    fn end(&mut self, signal: i32) {
        self.course.ask();
        self.leaving.iter().for_each(|daemon| daemon.signal(signal));
        if self.ends_with_successor() {
            return;
        }
        match &self.daemon {
            Some(daemon) if self.course.takes_signals() => daemon.signal(signal),
            // It is told when it is ready.
            Some(_) => {}
            // Only a daemon can end instances in order.
            None => self.start_at = Some(clock::now()),
        }
    }

    fn pass_on(&self, signal: i32) {
        if let Some(daemon) = self.daemon.as_ref().filter(|_| self.course.is_ready()) {
            daemon.signal(signal);
        }
    }

    /// Kills what children are left, and theirs, which become ours then.
    fn sweep(&mut self) {
        let until = clock::now().after(SWEEP);
        loop {
            while children::reap().is_some() {}
            let left: HashSet<_> = children::living().difference(&self.strangers).copied().collect();
            if left.is_empty() {
                return;
            }
            if clock::now() >= until {
                return say(&format!("{} processes can't be killed", left.len()));
            }
            children::kill(left.into_iter());
            let mut ended = [PollFd::new(&self.signals, PollFlags::IN)];
            let _ = poll(&mut ended, Some(&timespec(Duration::from_millis(100))));
            while self.signals.next().is_some() {}
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs().cast_signed(), tv_nsec: duration.subsec_nanos().into() }
}

/// A line on standard error; none where that takes nothing now, as nothing may hold up the keeper.
fn say(text: &str) {
    let mut error = io::stderr();
    let takes = poll(&mut [PollFd::new(&error, PollFlags::OUT)], Some(&timespec(Duration::ZERO)));
    if takes.is_ok_and(|ready| ready > 0) {
        let _ = error.write_all(format!("ten: {text}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests;
