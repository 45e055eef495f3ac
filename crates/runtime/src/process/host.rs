//! What this machine can do, and the starting of processes on it.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{
    Handle, Launch, Process, SpawnError, Strategy, child,
    child::{FIRST_SOURCE, Plan, Step},
    launch::{self, Strings},
    marker::Marker,
    pidfd,
    procfs::{self, Stat},
    reaper::{Child, Reaper},
    running::Inner,
    tree::{Group, Hierarchy, MARKER, Tree, Walk, kill_strays},
};
use crate::clock::boot_ticks;

/// Names the listening socket in `LISTEN_FDNAMES`.
const LISTEN_NAME: &str = "http";
/// How much sooner than the daemon a tenant is killed for want of memory.
const OOM_SCORE_ABOVE_OURS: i32 = 200;

/// This machine as a place to run instances: how their trees are held together, and where their groups are.
pub struct Host {
    pub(super) strategy: Strategy,
    pub(super) hierarchy: Option<Hierarchy>,
    pub(super) reaper: &'static Reaper,
    pub(super) boot_id: String,
    pub(super) null: OwnedFd,
    oom_score_adj: String,
    /// Part of every marker: no other host on this machine has it.
    pub(super) mark: String,
    starts: AtomicU64,
    /// `clone3` refused to place a child in its group; it enters by itself from now on.
    no_birth_in_group: AtomicBool,
    /// Another process starts instances here now.
    handed_over: AtomicBool,
}

/// What this machine can do for instances, in words for people by its `Display`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How a tree is held together.
    pub strategy: Strategy,
    /// A tree can be ended at once and without gaps.
    pub kills_atomically: bool,
    /// Memory of a tree is counted by the kernel; otherwise resident sizes are added up.
    pub measures_memory: bool,
    /// Processor time of a tree is counted by the kernel, that of ended processes included.
    pub measures_cpu: bool,
    /// Memory and processes of a tree can be limited.
    pub limits: bool,
}

impl std::fmt::Display for Capabilities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.strategy {
            Strategy::Unified => "cgroup v2: a stop ends a whole process tree at once",
            Strategy::Freezer => "cgroup v1: a stop freezes and ends a whole process tree",
            Strategy::Walk => {
                "no cgroups (not permitted or not there): a stop ends what descends from an instance, is in its session or carries its mark"
            }
        })?;
        f.write_str(if self.measures_memory {
            "; memory counted by the kernel"
        } else {
            "; memory added up by process"
        })?;
        f.write_str(if self.limits { "; limits available" } else { "; no limits" })
    }
}

impl Host {
    /// Looks at what there is and takes the best. `data_dir` gives our folder of groups its name, so that two daemons
    /// don't meet. Blocks for some milliseconds.
    ///
    /// # Errors
    /// `/proc` or `/dev/null` is missing, or no thread can be made.
    pub fn detect(data_dir: &Path) -> io::Result<Self> {
        for strategy in [Strategy::Unified, Strategy::Freezer] {
            match Self::with_strategy(data_dir, strategy) {
                Ok(host) => return Ok(host),
                Err(error) => tracing::debug!(?strategy, %error, "not available"),
            }
        }
        Self::with_strategy(data_dir, Strategy::Walk)
    }

    /// The same with a given strategy.
    ///
    /// # Errors
    /// It is not available here, or as for [`Host::detect`].
    pub fn with_strategy(data_dir: &Path, strategy: Strategy) -> io::Result<Self> {
        let mark = format!("{:016x}", hash(data_dir));
        let folder = folder(&mark);
        let hierarchy = match strategy {
            Strategy::Unified => Some(Hierarchy::create("", &folder)?),
            Strategy::Freezer => Some(Hierarchy::create("freezer", &folder)?),
            Strategy::Walk => None,
        };
        if let Some(hierarchy) = &hierarchy {
            hierarchy.probe(strategy)?;
        }
        let ours = std::fs::read_to_string("/proc/self/oom_score_adj")?.trim().parse().unwrap_or(0);
        Ok(Self {
            strategy,
            hierarchy,
            reaper: Reaper::get()?,
            boot_id: procfs::boot_id()?,
            null: File::options().read(true).write(true).open("/dev/null")?.into(),
            oom_score_adj: (OOM_SCORE_ABOVE_OURS + ours).min(1000).to_string(),
            mark,
            starts: AtomicU64::new(0),
            no_birth_in_group: AtomicBool::new(false),
            handed_over: AtomicBool::new(false),
        })
    }

    /// The name of the cgroup that has those of all instances.
    pub(super) fn folder(&self) -> String {
        folder(&self.mark)
    }

    /// What this machine can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let controllers = self.hierarchy.as_ref().map(Hierarchy::controllers).unwrap_or_default();
        let has = |name: &str| controllers.iter().any(|controller| controller == name);
        Capabilities {
            strategy: self.strategy,
            kills_atomically: self.strategy != Strategy::Walk,
            measures_memory: has("memory"),
            measures_cpu: self.strategy == Strategy::Unified,
            limits: has("memory") && has("pids"),
        }
    }

    /// Starts a process, and returns when its `execve` succeeded or why it did not. Blocks for about half a
    /// millisecond.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn(&self, launch: Launch) -> Result<Process, SpawnError> {
        let program = launch::resolve(&launch)?;
        let tree_name = launch.instance.to_string();
        let group = match &self.hierarchy {
            Some(hierarchy) => {
                Some(hierarchy.group(&tree_name).map_err(|source| SpawnError::os("make a cgroup", source))?)
            }
            None => None,
        };
        let started = self.start(&launch, &program, group.as_ref());
        if started.is_err()
            && let Some(group) = &group
        {
            group.remove();
        }
        started
    }

    fn start(&self, launch: &Launch, program: &Path, group: Option<&Group>) -> Result<Process, SpawnError> {
        let carried = self.next_marker(launch.run.0);
        let program_c = launch::c_path(program, "the command")?;
        let workdir = launch::c_path(&launch.workdir, "the working directory")?;
        let argv = Strings::new(launch.argv.iter().cloned(), "an argument")?;
        let env = Strings::new(environment(launch, &carried), "the environment")?;
        let mut pid_entry = [0_u8; 32];
        pid_entry[.."LISTEN_PID=".len()].copy_from_slice(b"LISTEN_PID=");
        let pid_entry = pid_entry.as_mut_ptr();
        let mut envp = env.pointers().to_vec();
        if launch.listen.is_some() {
            envp.insert(envp.len() - 1, pid_entry.cast());
        }
        let fds = Sources::new([
            Some(self.null.as_fd()),
            Some(launch.stdout.as_fd()),
            Some(launch.stderr.as_fd()),
            launch.listen.as_ref().map(AsFd::as_fd),
        ])?;
        let mut plan = Plan {
            program: &program_c,
            argv: argv.pointers(),
            envp: &envp,
            pid_digits: if launch.listen.is_some() {
                pid_entry.wrapping_add("LISTEN_PID=".len())
            } else {
                std::ptr::null_mut()
            },
            workdir: &workdir,
            fds: &fds.raw,
            join: &[],
            born_in: None,
            oom_score_adj: self.oom_score_adj.as_bytes(),
            nofile: crate::limits::original_nofile(),
            failed: child::Failure { step: Step::None, errno: 0 },
        };
        let birth = self.reaper.birth();
        let born =
            self.clone_into(&mut plan, group).map_err(|source| SpawnError::os("start a process", source))?;
        if let Some(failure) = born.failure {
            // The child has ended; it is reaped here because nobody else knows of it.
            drop(pidfd::reap(&born.pidfd, true));
            return Err(launch::explain(failure, launch, program, argv.bytes + env.bytes));
        }
        let start_time = Stat::read(born.pid).map_or(0, |stat| stat.start_time);
        let child = Arc::new(Child::new(born.pid, start_time, born.pidfd, self.reaper));
        birth.track(&child);
        drop(birth);
        // A group says what belongs to it.
        let marker = group.is_none().then_some(carried);
        let handle = Handle {
            pid: born.pid,
            start_time,
            boot_id: self.boot_id.clone(),
            run: launch.run.0,
            strategy: self.strategy,
            cgroup: group.map(|group| group.dir.clone()),
            marker: marker.clone(),
        };
        Ok(self.process(handle, child, group.cloned(), marker))
    }

    /// In a cgroup v2 group the child is born; where that is refused, and in v1, it enters before it executes anything.
    fn clone_into(&self, plan: &mut Plan<'_>, group: Option<&Group>) -> io::Result<child::Born> {
        let Some(group) = group else { return child::start(plan) };
        if self.strategy == Strategy::Unified && !self.no_birth_in_group.load(Ordering::Relaxed) {
            let dir = File::open(&group.dir)?;
            plan.born_in = Some(dir.as_raw_fd());
            match child::start(plan) {
                Err(error) if is_refusal(&error) => {
                    tracing::info!(%error, "clone3 can't place a process in a cgroup here");
                    self.no_birth_in_group.store(true, Ordering::Relaxed);
                    plan.born_in = None;
                }
                result => return result,
            }
        }
        let procs = File::options().write(true).open(group.dir.join("cgroup.procs"))?;
        let join = [procs.as_raw_fd()];
        child::start(&mut Plan { join: &join, ..*plan })
    }

    pub(super) fn process(
        &self,
        handle: Handle,
        child: Arc<Child>,
        group: Option<Group>,
        marker: Option<String>,
    ) -> Process {
        let tree = match (self.strategy, group) {
            (Strategy::Unified, Some(group)) => Tree::Unified(group),
            (Strategy::Freezer, Some(group)) => Tree::Freezer(group),
            _ => Tree::Walk(Walk {
                pid: handle.pid,
                start_time: handle.start_time,
                marker: marker.unwrap_or_default(),
            }),
        };
        Process::new(Inner {
            handle,
            child,
            tree,
            reaper: self.reaper,
            oom_before: procfs::oom_kills(),
            killed: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        })
    }

    /// Without cgroups, ends processes that no instance knows of any more: they left their session, lost their parent
    /// and cleared their environment. For the orderly end, of a process that starts others through this host alone.
    ///
    /// # Errors
    /// They fork faster than they can be ended.
    pub async fn end_strays(&self) -> io::Result<()> {
        match self.strategy {
            Strategy::Walk => kill_strays().await?,
            Strategy::Unified | Strategy::Freezer => {}
        }
        self.reaper.drain();
        Ok(())
    }

    /// From now on another process starts instances here: an empty group may be one that it is about to use.
    pub fn hand_over(&self) {
        self.handed_over.store(true, Ordering::Release);
    }

    /// Removes the groups of runs that are gone, and our folder if nothing is in it. For the orderly end.
    pub fn remove_groups(&self) {
        if let Some(hierarchy) = self.hierarchy.as_ref().filter(|_| !self.handed_over.load(Ordering::Acquire))
        {
            hierarchy.remove();
        }
    }

    /// Names this boot of the machine: `/proc/sys/kernel/random/boot_id`.
    #[must_use]
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Where the groups of instances are, if there are any.
    #[must_use]
    pub fn groups_dir(&self) -> Option<PathBuf> {
        self.hierarchy.as_ref().map(|hierarchy| hierarchy.root.clone())
    }

    fn next_marker(&self, run: u64) -> String {
        let start = self.starts.fetch_add(1, Ordering::Relaxed);
        let wall = crate::clock::wall().0;
        Marker { mark: &self.mark, daemon: std::process::id(), wall, start, run, ticks: boot_ticks() }
            .to_string()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.remove_groups();
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("strategy", &self.strategy)
            .field("dir", &self.groups_dir())
            .finish_non_exhaustive()
    }
}

/// Errors that say that this way of starting is not available, rather than that a start failed.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ENOSYS
                | libc::EPERM
                | libc::EACCES
                | libc::EINVAL
                | libc::E2BIG
                | libc::EOPNOTSUPP
                | libc::EBADF
        )
    )
}

fn folder(mark: &str) -> String {
    format!("tenement-{}", &mark[..8])
}

fn environment(launch: &Launch, marker: &str) -> impl Iterator<Item = String> {
    let own = [format!("{MARKER}={marker}")];
    let listen = launch.listen.is_some();
    let listen = listen.then(|| ["LISTEN_FDS=1".to_owned(), format!("LISTEN_FDNAMES={LISTEN_NAME}")]);
    launch
        .env
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .chain(own)
        .chain(listen.into_iter().flatten())
}

/// Descriptors for the child, out of the way of those it will give them.
struct Sources {
    raw: Vec<RawFd>,
    _moved: Vec<OwnedFd>,
}

impl Sources {
    fn new(fds: [Option<std::os::fd::BorrowedFd<'_>>; 4]) -> Result<Self, SpawnError> {
        let mut sources = Self { raw: Vec::with_capacity(4), _moved: Vec::new() };
        for fd in fds.into_iter().flatten() {
            if fd.as_raw_fd() >= FIRST_SOURCE {
                sources.raw.push(fd.as_raw_fd());
                continue;
            }
            let moved = rustix::io::fcntl_dupfd_cloexec(fd, FIRST_SOURCE)
                .map_err(|errno| SpawnError::os("pass on descriptors", errno.into()))?;
            sources.raw.push(moved.as_raw_fd());
            sources._moved.push(moved);
        }
        Ok(sources)
    }
}

/// FNV-1a: the same on every start and every version, unlike the standard library's.
fn hash(path: &Path) -> u64 {
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
