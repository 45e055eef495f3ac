//! The daemon's side: what it gives the keeper to hold, and what it is told by it.

use std::{
    collections::{BTreeMap, VecDeque},
    env, io,
    os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    net::{
        SocketType,
        sockopt::{socket_peercred, socket_type},
    },
};
use tenement_core::time::WallMillis;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{
    channel::{self, FDS_MAX, Sent},
    held::Held,
    identity::Identity,
    protocol::{Ended, ToDaemon, ToKeeper, VERSION},
    relay::Relay,
    start::{SUCCEEDS, VARIABLE},
    timespec,
};
use crate::{
    clock,
    process::{Handle, Status, exits},
};

/// Before another attempt, when descriptors that are under way have to arrive first.
const MOMENT: Duration = Duration::from_millis(20);

/// The way to the keeper. Cheap to clone; nothing here waits for the keeper. Without one nothing happens.
#[derive(Clone, Debug, Default)]
pub struct Link(Option<Arc<Shared>>);

/// What a daemon finds that is not the first.
#[derive(Debug, Default)]
pub struct Inheritance {
    /// What the daemons before it gave the keeper to hold, by name. Whatever is not dropped there stays held.
    pub held: BTreeMap<String, Vec<OwnedFd>>,
}

#[derive(Debug)]
struct Shared {
    channel: OwnedFd,
    /// The keeper is there.
    lives: AtomicBool,
    /// What the channel did not take at once.
    waiting: Mutex<VecDeque<(ToKeeper, Vec<OwnedFd>)>>,
    /// What the keeper wants.
    orders: (UnboundedSender<Order>, Mutex<Option<UnboundedReceiver<Order>>>),
    /// Wakes the thread when something waits.
    bell: OwnedFd,
}

/// A keeper that has something for this process.
#[derive(Debug)]
pub struct Offer {
    channel: OwnedFd,
    succeeds: bool,
}

/// What a keeper wants of a daemon.
#[derive(Debug)]
pub enum Order {
    /// A successor is there: finish what is short, change nothing any more, and say [`Link::released`].
    HandOver,
    /// Another daemon serves.
    Leave {
        /// The way to it, where connections go.
        relay: Option<Relay>,
        /// Its release, or why there was no upgrade and the former program was started again.
        outcome: Result<String, String>,
    },
    /// There will be no successor, for this reason.
    NotUpgraded(String),
    /// The keeper is gone, and wants nothing any more.
    Gone,
}

impl Offer {
    /// Whether this process is to take the place of a daemon that runs: then [`Self::prepared`] or [`Self::refused`] comes
    /// before [`Self::accept`].
    #[must_use]
    pub fn succeeds(&self) -> bool {
        self.succeeds
    }

    /// Who it is from.
    #[must_use]
    pub fn keeper(&self) -> Option<Identity> {
        keeper_at(&self.channel)
    }

    /// This process, of that release, could run.
    pub fn prepared(&self, version: &str) {
        channel::send(&self.channel, &ToKeeper::Prepared { version: version.to_owned() }, &[]);
    }

    /// It could not, for this reason.
    pub fn refused(&self, why: &str) {
        channel::send(&self.channel, &ToKeeper::Refused { why: why.to_owned() }, &[]);
    }

    /// Takes what was held for it. Waits until everything was said, and before that until its predecessor has let go.
    ///
    /// # Errors
    /// What is needed to talk to the keeper is not to be had; or it is gone, and nobody knows whether the predecessor has
    /// let go.
    pub fn accept(self) -> io::Result<(Link, Inheritance)> {
        let (inheritance, is_whole) = inherit(&self.channel)?;
        if self.succeeds && !is_whole {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "it is gone"));
        }
        Ok((Link::over(self.channel)?, inheritance))
    }
}

impl Link {
    /// The keeper that started this process, if one did. To be called first of all, while this process has one thread.
    #[must_use]
    pub fn from_env() -> Option<Offer> {
        let succeeds = env::var_os(SUCCEEDS).is_some();
        // SAFETY: this process has one thread, as the caller promised.
        unsafe { env::remove_var(SUCCEEDS) };
        inherited().map(|channel| Offer { channel, succeeds })
    }

    /// What the keeper wants from now on; once.
    #[must_use]
    pub fn orders(&self) -> Option<UnboundedReceiver<Order>> {
        self.0.as_ref()?.orders.1.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Has a successor started, from another program or from the file where this one came from. `patience` is what each of
    /// its stages has; a minute without it. What comes of it is an [`Order`].
    pub fn upgrade(&self, program: Option<&Path>, patience: Option<Duration>) {
        let patience_ms = patience.and_then(|patience| patience.as_millis().try_into().ok());
        self.send(ToKeeper::Upgrade { program: program.map(Path::to_owned), patience_ms }, &[]);
    }

    /// This daemon can't run, for this reason: for whoever asked for the upgrade by which it was started.
    pub fn refused(&self, why: &str) {
        self.send(ToKeeper::Refused { why: why.to_owned() }, &[]);
    }

    /// Nothing is changed any more: a successor may take over.
    pub fn released(&self) {
        self.send(ToKeeper::Released, &[]);
    }

    pub(super) fn over(channel: OwnedFd) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            channel,
            lives: AtomicBool::new(true),
            waiting: Mutex::default(),
            orders: {
                let (sender, receiver) = unbounded_channel();
                (sender, Mutex::new(Some(receiver)))
            },
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        });
        exits::expect(true);
        let link = Self(Some(Arc::clone(&shared)));
        link.send(ToKeeper::Hello { version: VERSION }, &[]);
        std::thread::Builder::new()
            .name("keeper-link".into())
            .stack_size(256 * 1024)
            .spawn(move || shared.run())?;
        Ok(link)
    }

    /// The keeper, if this process has one.
    #[must_use]
    pub fn keeper(&self) -> Option<Identity> {
        keeper_at(&self.0.as_ref().filter(|_| self.is_kept())?.channel)
    }

    /// Whether the keeper is there.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        let Some(shared) = &self.0 else { return false };
        let mut fds = [PollFd::new(&shared.channel, PollFlags::empty())];
        let looked = poll(&mut fds, Some(&timespec(Duration::ZERO)));
        shared.lives.load(Ordering::Acquire)
            && !(looked.is_ok() && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR))
    }

    /// Has descriptors kept for the next daemon, in place of what was held by that name. They are duplicated by that.
    pub fn hold(&self, name: &str, fds: &[impl AsFd]) {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let mut more = false;
        for part in fds.chunks(FDS_MAX) {
            self.send(ToKeeper::Hold { name: name.to_owned(), more }, part);
            more = true;
        }
    }

    /// Has what is held by this name closed.
    pub fn drop_held(&self, name: &str) {
        self.send(ToKeeper::Drop { name: name.to_owned() }, &[]);
    }

    /// Requests are served, and signals listened to.
    pub fn ready(&self) {
        self.send(ToKeeper::Ready, &[]);
    }

    /// The orderly end has begun: the next exit of this process is the end.
    pub fn ending(&self) {
        self.send(ToKeeper::Ending, &[]);
    }

    /// A process has ended that the next daemon may ask for. For a daemon that leaves and was its parent.
    pub fn exit(&self, process: &Handle, status: Status) {
        let ended = Ended::new(process.pid, process.start_time, status, clock::wall());
        self.send(ToKeeper::Exit(ended), &[]);
    }

    /// Nobody will ask how these ended, named by pid and start time.
    pub fn exits_seen(&self, processes: &[(u32, u64)]) {
        for part in processes.chunks(1000) {
            self.send(ToKeeper::ExitsSeen { exits: part.to_vec() }, &[]);
        }
    }

    fn send(&self, message: ToKeeper, fds: &[BorrowedFd<'_>]) {
        if let Some(shared) = self.0.as_ref().filter(|shared| shared.lives.load(Ordering::Acquire)) {
            shared.send(message, fds);
        }
    }
}

/// Who made the channel.
fn keeper_at(channel: &OwnedFd) -> Option<Identity> {
    let peer = socket_peercred(channel).ok()?;
    Identity::of(peer.pid.as_raw_nonzero().get().cast_unsigned()).ok()
}

/// The channel that the environment names. Whatever else is there is no keeper's.
fn inherited() -> Option<OwnedFd> {
    let number: RawFd = env::var(VARIABLE).ok()?.parse().ok()?;
    // SAFETY: this process has one thread, as the caller promised.
    unsafe { env::remove_var(VARIABLE) };
    // SAFETY: takes two numbers.
    if number <= 2 || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: it is open, and came from whoever executed this program, which has opened nothing of that number since.
    let channel = unsafe { OwnedFd::from_raw_fd(number) };
    if socket_type(&channel) != Ok(SocketType::SEQPACKET) {
        // Not ours to close.
        std::mem::forget(channel);
        return None;
    }
    rustix::io::fcntl_setfd(&channel, rustix::io::FdFlags::CLOEXEC).ok()?;
    Some(channel)
}

/// Takes in everything up to [`ToDaemon::Begin`], and whether that came: a keeper that is killed just now has nothing more to
/// say.
fn inherit(channel: &OwnedFd) -> io::Result<(Inheritance, bool)> {
    let (mut held, mut is_whole) = (Held::default(), false);
    while let Some((message, fds)) = channel::receive(channel, true)? {
        match message {
            ToDaemon::Held { name, more } => held.hold(name, more, fds),
            ToDaemon::Exit(ended) => note(&ended),
            ToDaemon::Begin => {
                is_whole = true;
                break;
            }
            _ => {}
        }
    }
    Ok((Inheritance { held: held.into_inner() }, is_whole))
}

fn note(ended: &Ended) {
    exits::note(ended.pid, ended.start_time, ended.exit(), WallMillis(ended.at_ms));
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(ToKeeper, Vec<OwnedFd>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At once where nothing waits already, so that it is under way before this process can die.
    fn send(&self, message: ToKeeper, fds: &[BorrowedFd<'_>]) {
        let mut waiting = self.lock();
        if waiting.is_empty()
            && matches!(channel::send(&self.channel, &message, fds), Sent::Done | Sent::Gone)
        {
            return;
        }
        let kept: Result<Vec<_>, _> = fds.iter().map(BorrowedFd::try_clone_to_owned).collect();
        match kept {
            Ok(fds) => waiting.push_back((message, fds)),
            Err(error) => tracing::warn!(%error, ?message, "the keeper can't be given something"),
        }
        drop(waiting);
        // Full only when it rings already.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn run(&self) {
        loop {
            let pause = self.send_waiting();
            let out = match pause {
                Some(Sent::Full) => PollFlags::OUT,
                _ => PollFlags::empty(),
            };
            let mut fds =
                [PollFd::new(&self.channel, PollFlags::IN | out), PollFd::new(&self.bell, PollFlags::IN)];
            let timeout = (pause == Some(Sent::Later)).then(|| timespec(MOMENT));
            let _ = poll(&mut fds, timeout.as_ref());
            let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
            if !self.hear() {
                break;
            }
        }
        self.lives.store(false, Ordering::Release);
        self.lock().clear();
        exits::expect(false);
        // Nobody is there any more who could obey.
        let _ = self.orders.0.send(Order::Gone);
        tracing::error!(
            "the keeper is gone: this daemon serves on, but nothing starts it again if it dies; \
             'ten serve' takes over from it"
        );
    }

    /// Why something still waits, if it does.
    fn send_waiting(&self) -> Option<Sent> {
        let mut waiting = self.lock();
        while let Some((message, fds)) = waiting.front() {
            let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            match channel::send(&self.channel, message, &fds) {
                Sent::Done | Sent::Gone => drop(waiting.pop_front()),
                not_yet => return Some(not_yet),
            }
        }
        None
    }

    fn obey(&self, message: ToDaemon, with: Option<OwnedFd>) {
        let order = match message {
            ToDaemon::HandOver => Order::HandOver,
            ToDaemon::Leave { version, why } => {
                let outcome = version.ok_or_else(|| why.unwrap_or_default());
                Order::Leave { relay: with.map(Relay::over), outcome }
            }
            ToDaemon::NotUpgraded { why } => Order::NotUpgraded(why),
            _ => return,
        };
        // Nobody is there any more who could obey.
        let _ = self.orders.0.send(order);
    }

    /// Takes in what has come. Whether the keeper is still there.
    fn hear(&self) -> bool {
        loop {
            match channel::receive(&self.channel, false) {
                Ok(Some((ToDaemon::Exit(ended), _))) => note(&ended),
                Ok(Some((message, fds))) => self.obey(message, fds.into_iter().next()),
                Ok(None) => return false,
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }
}
