//! The daemon as the keeper has it: a pid, a channel, and what it is still to be told.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags};

use super::{
    channel::{self, FDS_MAX, Sent},
    children::Exits,
    held::Held,
    protocol::{ToDaemon, ToKeeper, VERSION},
    start::{self, Program},
};

/// Before another attempt, when descriptors that are under way have to arrive first.
const MOMENT: Duration = Duration::from_millis(20);

pub(super) struct Daemon {
    pid: u32,
    channel: OwnedFd,
    /// The other side has closed the channel.
    is_deaf: bool,
    told_hello: bool,
    /// Names whose descriptors it has not been given yet.
    to_give: VecDeque<String>,
    /// How many of the first one's it has been given.
    given: usize,
    /// The place in [`Exits`] that it has been told up to.
    told: u64,
    /// It has been told everything from before it was there.
    begun: bool,
    /// A successor, which is told nothing before its predecessor has let go.
    waits: bool,
    orders: VecDeque<(ToDaemon, Option<OwnedFd>)>,
    later: bool,
}

impl Daemon {
    pub(super) fn start(program: &Program, held: &Held) -> io::Result<Self> {
        let (pid, channel) = start::daemon(program, false)?;
        Ok(Self { pid, ..Self::over(channel, held) })
    }

    /// One that waits until it is [given](Self::give) what it takes over.
    pub(super) fn start_successor(program: &Program) -> io::Result<Self> {
        let (pid, channel) = start::daemon(program, true)?;
        Ok(Self { pid, waits: true, ..Self::over(channel, &Held::default()) })
    }

    pub(super) fn give(&mut self, held: &Held) {
        self.to_give = held.names().cloned().collect();
        self.waits = false;
    }

    /// Has something said to it, once everything from before was.
    pub(super) fn order(&mut self, what: ToDaemon, with: Option<OwnedFd>) {
        self.orders.push_back((what, with));
    }

    /// One that nothing was said to yet.
    pub(super) fn over(channel: OwnedFd, held: &Held) -> Self {
        Self {
            pid: 0,
            channel,
            is_deaf: false,
            told_hello: false,
            to_give: held.names().cloned().collect(),
            given: 0,
            told: 0,
            begun: false,
            waits: false,
            orders: VecDeque::new(),
            later: false,
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Until its status is taken, which only the keeper does, the number is its own.
    pub(super) fn signal(&self, number: i32) {
        // SAFETY: takes two numbers.
        unsafe { libc::kill(self.pid.cast_signed(), number) };
    }

    /// What to wait for.
    pub(super) fn watched(&self, exits: &Exits) -> Option<PollFd<'_>> {
        let writes = !self.later && self.has_something(exits);
        let out = if writes { PollFlags::OUT } else { PollFlags::empty() };
        (!self.is_deaf).then(|| PollFd::from_borrowed_fd(self.channel.as_fd(), PollFlags::IN | out))
    }

    /// How long to wait at most before sending is tried again.
    pub(super) fn try_again_in(&self) -> Option<Duration> {
        (self.later && !self.is_deaf).then_some(MOMENT)
    }

    /// The next message that has come. Does not wait.
    pub(super) fn receive(&mut self) -> Option<(ToKeeper, Vec<OwnedFd>)> {
        if self.is_deaf {
            return None;
        }
        match channel::receive(&self.channel, false) {
            Ok(Some(received)) => Some(received),
            Ok(None) => {
                self.is_deaf = true;
                None
            }
            Err(error) => {
                self.is_deaf = error.kind() != io::ErrorKind::WouldBlock;
                None
            }
        }
    }

    /// Sends what the channel takes now.
    pub(super) fn send(&mut self, held: &Held, exits: &Exits) {
        self.later = false;
        while !self.is_deaf && self.has_something(exits) {
            match self.send_next(held, exits) {
                Sent::Done => {}
                Sent::Full => return,
                Sent::Later => {
                    self.later = true;
                    return;
                }
                Sent::Gone => return self.is_deaf = true,
            }
        }
    }

    fn has_something(&self, exits: &Exits) -> bool {
        if self.waits {
            return !self.told_hello;
        }
        !self.begun || !self.orders.is_empty() || exits.from(self.told).is_some()
    }

    fn send_next(&mut self, held: &Held, exits: &Exits) -> Sent {
        let tell = |message: &ToDaemon| channel::send(&self.channel, message, &[]);
        if !self.told_hello {
            let sent = tell(&ToDaemon::Hello { version: VERSION });
            self.told_hello = sent == Sent::Done;
            return sent;
        }
        if let Some(name) = self.to_give.front() {
            // It may have been replaced since, by the daemon itself.
            let all = held.get(name).unwrap_or_default();
            let fds: Vec<_> = all.iter().skip(self.given).take(FDS_MAX).map(AsFd::as_fd).collect();
            let message = ToDaemon::Held { name: name.clone(), more: self.given > 0 };
            let sent = channel::send(&self.channel, &message, &fds);
            if sent == Sent::Done {
                self.given += fds.len();
                if self.given >= all.len() {
                    self.to_give.pop_front();
                    self.given = 0;
                }
            }
            return sent;
        }
        if let Some((next, ended)) = exits.from(self.told) {
            let sent = tell(&ToDaemon::Exit(ended.clone()));
            if sent == Sent::Done {
                self.told = next;
            }
            return sent;
        }
        if let Some((order, with)) = self.orders.front().filter(|_| self.begun) {
            let with: Vec<_> = with.iter().map(AsFd::as_fd).collect();
            let sent = channel::send(&self.channel, order, &with);
            if sent == Sent::Done {
                self.orders.pop_front();
            }
            return sent;
        }
        let sent = tell(&ToDaemon::Begin);
        self.begun = sent == Sent::Done;
        sent
    }
}
