//! The moment between `clone` and `execve`: the only code that runs in a half-made process.
//!
//! ```text
//!   parent: signals off ─ clone3(PIDFD|VFORK|VM|INTO_CGROUP) ──── suspended ────┬─ signals on ─ read `failure`
//!   child:                    └─ setsid, signals, fds, limits, cwd ─ execve ─┘ or `failure` = (step, errno), _exit
//! ```
//!
//! The child shares the parent's memory (no page table is copied, so it costs the same from a large daemon) and has a
//! stack of its own; the parent's thread stands still until the child has left by `execve` or `_exit`. So the child
//! allocates nothing, takes no lock, and reports a failure by writing it where the parent will look.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    ptr,
};

/// What the child was about to do when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Step {
    None = 0,
    Session,
    Group,
    Workdir,
    Descriptors,
    Exec,
}

/// Everything the child needs, made ready by the parent. Pointers stay valid while the parent is suspended.
pub(super) struct Plan<'a> {
    pub(super) program: &'a CStr,
    /// Ends with a null pointer.
    pub(super) argv: &'a [*const c_char],
    /// Ends with a null pointer.
    pub(super) envp: &'a [*const c_char],
    /// Where the digits of the child's own pid go in its environment (`LISTEN_PID`), with room for eleven bytes.
    pub(super) pid_digits: *mut u8,
    pub(super) workdir: &'a CStr,
    /// To become 0, 1, 2 and, if there is a fourth, 3. All are at least [`FIRST_SOURCE`].
    pub(super) fds: &'a [RawFd],
    /// `cgroup.procs` files to write oneself into, for groups that `clone3` can't place a child in.
    pub(super) join: &'a [RawFd],
    /// The directory of a cgroup v2 group to be born in.
    pub(super) born_in: Option<RawFd>,
    pub(super) oom_score_adj: &'a [u8],
    pub(super) nofile: Option<libc::rlimit>,
    /// Set by the child.
    pub(super) failed: Failure,
}

/// How the child failed, written by it.
#[derive(Clone, Copy)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) errno: c_int,
}

/// Descriptors for the child are moved here first, so that none is overwritten before its turn.
pub(super) const FIRST_SOURCE: RawFd = 10;

/// What came of it.
pub(super) struct Born {
    pub(super) pid: u32,
    pub(super) pidfd: OwnedFd,
    /// It was placed in `born_in`; otherwise it wrote itself into `join`.
    pub(super) failure: Option<Failure>,
}

const STACK_BYTES: usize = 64 * 1024;

/// Makes the child and returns when it has left our memory.
///
/// # Errors
/// `clone` was refused; then there is no child.
pub(super) fn start(plan: &mut Plan<'_>) -> io::Result<Born> {
    // A mapping and not a Vec: it is page aligned, and not touched before use.
    let stack = Stack::new()?;
    let mut pidfd: c_int = -1;
    let masked = SignalsOff::new();
    let pid = clone(plan, &stack, &mut pidfd);
    drop(masked);
    let pid = pid?;
    // SAFETY: CLONE_PIDFD stored a new descriptor there, which nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    // SAFETY: `failed` was written, if at all, by a child that is no longer in this memory. Volatile, because the
    // compiler doesn't know that anybody wrote it.
    let failed = unsafe { ptr::read_volatile(&raw const plan.failed) };
    Ok(Born { pid, pidfd, failure: (failed.step != Step::None).then_some(failed) })
}

/// `struct clone_args` of `clone(2)`.
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const FLAGS: c_int = libc::CLONE_PIDFD | libc::CLONE_VM | libc::CLONE_VFORK;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn clone(plan: &mut Plan<'_>, stack: &Stack, pidfd: &mut c_int) -> io::Result<u32> {
    let arg = ptr::from_mut(plan).cast::<c_void>();
    if let Some(group) = plan.born_in {
        let args = CloneArgs {
            flags: u64::from(FLAGS.cast_unsigned()) | CLONE_INTO_CGROUP,
            pidfd: ptr::from_mut(pidfd) as u64,
            exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
            stack: stack.base as u64,
            stack_size: STACK_BYTES as u64,
            cgroup: u64::from(group.cast_unsigned()),
            ..CloneArgs::default()
        };
        // SAFETY: the stack is ours alone and large enough, `arg` points to a plan that outlives the call because
        // CLONE_VFORK suspends this thread, and `run` never returns.
        let result = unsafe { clone3(&args, run, arg) };
        return match result {
            pid if pid > 0 => Ok(u32::try_from(pid).unwrap_or_default()),
            error => Err(io::Error::from_raw_os_error(i32::try_from(-error).unwrap_or(libc::EINVAL))),
        };
    }
    // SAFETY: as above; the C library's wrapper takes the upper end of the stack, aligned as the ABI asks.
    let pid = unsafe {
        libc::clone(run, stack.base.add(STACK_BYTES).cast(), FLAGS | libc::SIGCHLD, arg, ptr::from_mut(pidfd))
    };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid.cast_unsigned()) }
}

/// `clone3(2)` has no wrapper in the C library; a child with a stack of its own must not return from the system call
/// into a frame that is not on that stack, so the call into `entry` is made here.
#[cfg(target_arch = "x86_64")]
unsafe fn clone3(args: &CloneArgs, entry: extern "C" fn(*mut c_void) -> c_int, arg: *mut c_void) -> i64 {
    let result: i64;
    // SAFETY: the parent comes back with nothing changed but rax, rcx and r11 (the system call's own); the child
    // starts on an empty, 16-byte aligned stack and never leaves `entry`.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, {arg}",
            "call {entry}",
            "ud2",
            "2:",
            arg = in(reg) arg,
            entry = in(reg) entry,
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") ptr::from_ref(args),
            in("rsi") size_of::<CloneArgs>(),
            // Not `lateout`: the child reads `arg` and `entry` after the system call has overwritten these two.
            out("rcx") _,
            out("r11") _,
        );
    }
    result
}

/// See the other one.
#[cfg(target_arch = "aarch64")]
unsafe fn clone3(args: &CloneArgs, entry: extern "C" fn(*mut c_void) -> c_int, arg: *mut c_void) -> i64 {
    let result: i64;
    // SAFETY: the parent comes back with nothing changed but x0; the child never leaves `entry`.
    unsafe {
        std::arch::asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, {arg}",
            "blr {entry}",
            "brk #1",
            "2:",
            arg = in(reg) arg,
            entry = in(reg) entry,
            in("x8") libc::SYS_clone3,
            inlateout("x0") ptr::from_ref(args) as i64 => result,
            in("x1") size_of::<CloneArgs>(),
        );
    }
    result
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn clone3(_: &CloneArgs, _: extern "C" fn(*mut c_void) -> c_int, _: *mut c_void) -> i64 {
    -i64::from(libc::ENOSYS)
}

/// The child. Async-signal-safe calls only, on memory it shares with the suspended parent.
extern "C" fn run(arg: *mut c_void) -> c_int {
    // SAFETY: `arg` is the plan that `clone` was given, and its owner is suspended.
    let plan = unsafe { &mut *arg.cast::<Plan<'_>>() };
    let step = prepare(plan).err().unwrap_or_else(|| {
        // SAFETY: both arrays end with a null pointer and point to C strings of the suspended parent.
        unsafe { libc::execve(plan.program.as_ptr(), plan.argv.as_ptr(), plan.envp.as_ptr()) };
        Step::Exec
    });
    // SAFETY: the field is written once, by this thread, while nobody else runs; errno is this thread's.
    unsafe {
        ptr::write_volatile(&raw mut plan.failed, Failure { step, errno: *libc::__errno_location() });
        libc::_exit(127)
    }
}

/// Makes the process what the app may expect: its own session, no inherited signal state, descriptors or limits.
fn prepare(plan: &mut Plan<'_>) -> Result<(), Step> {
    // SAFETY: system calls on plain numbers and on memory of the plan, none of which allocates.
    unsafe {
        check(libc::setsid(), Step::Session)?;
        for &group in plan.join {
            check_size(libc::write(group, b"0".as_ptr().cast(), 1), Step::Group)?;
        }
        score(plan.oom_score_adj);
        if let Some(limit) = &plan.nofile {
            libc::setrlimit(libc::RLIMIT_NOFILE, limit);
        }
        libc::umask(0o022);
        check(libc::chdir(plan.workdir.as_ptr()), Step::Workdir)?;
        for (target, &source) in (0..).zip(plan.fds) {
            check(libc::dup2(source, target), Step::Descriptors)?;
        }
        close_from(plan.fds.len());
        if !plan.pid_digits.is_null() {
            write_pid(plan.pid_digits);
        }
        reset_signals();
    }
    Ok(())
}

fn check(result: c_int, step: Step) -> Result<(), Step> {
    if result < 0 { Err(step) } else { Ok(()) }
}

fn check_size(result: isize, step: Step) -> Result<(), Step> {
    if result < 0 { Err(step) } else { Ok(()) }
}

/// A tenant is to be killed for want of memory before the daemon is. Best effort.
unsafe fn score(value: &[u8]) {
    // SAFETY: a path literal, a buffer of the given length, and a descriptor opened here.
    unsafe {
        let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file >= 0 {
            libc::write(file, value.as_ptr().cast(), value.len());
            libc::close(file);
        }
    }
}

/// Closes everything from `first` up, whoever opened it and with whatever flags.
unsafe fn close_from(first: usize) {
    // SAFETY: the child's descriptor table is its own.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, c_int::MAX, 0) < 0 {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
            let end = c_int::try_from(limit.rlim_max.min(1 << 20)).unwrap_or(1 << 20);
            for fd in c_int::try_from(first).unwrap_or(3)..end {
                libc::close(fd);
            }
        }
    }
}

/// `LISTEN_PID` must be the app's own pid, which nobody knows before it exists.
unsafe fn write_pid(digits: *mut u8) {
    // SAFETY: eleven bytes are there: ten digits and the end.
    unsafe {
        let mut pid = libc::getpid().cast_unsigned();
        let mut reversed = [0_u8; 10];
        let mut length = 0;
        while length == 0 || pid > 0 {
            reversed[length] = b'0' + (pid % 10) as u8;
            pid /= 10;
            length += 1;
        }
        for index in 0..length {
            *digits.add(index) = reversed[length - 1 - index];
        }
        *digits.add(length) = 0;
    }
}

/// Ignored signals and the mask outlive `execve`, so they are set to what a fresh process has. The system calls are
/// made directly because the C library hides two signals of its own.
unsafe fn reset_signals() {
    const SIGSET_BYTES: usize = 8;
    let zeros = [0_u64; 4]; // the kernel's `struct sigaction`: SIG_DFL, no flags; and an empty set
    for signal in 1..=64 {
        // SAFETY: `zeros` is at least as large as the kernel's structure.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                zeros.as_ptr(),
                ptr::null::<c_void>(),
                SIGSET_BYTES,
            );
        }
    }
    // SAFETY: as above.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            zeros.as_ptr(),
            ptr::null::<c_void>(),
            SIGSET_BYTES,
        );
    }
}

/// No handler of the daemon may run in the child, which shares its memory: all signals are off until it has left.
struct SignalsOff(libc::sigset_t);

impl SignalsOff {
    fn new() -> Self {
        // SAFETY: both sets are local, and every bit pattern is a set.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            Self(before)
        }
    }
}

impl Drop for SignalsOff {
    fn drop(&mut self) {
        // SAFETY: the set is what this thread had before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

struct Stack {
    base: *mut u8,
}

impl Stack {
    fn new() -> io::Result<Self> {
        // SAFETY: a new private mapping, touched by nobody but the child.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                STACK_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { base: base.cast() })
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping made above; the child has left it.
        unsafe { libc::munmap(self.base.cast(), STACK_BYTES) };
    }
}
