//! strace at a running process, to kill it.

use std::{
    io::{BufRead, BufReader},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    thread,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

/// Kills a process when one of its threads makes one of these calls for so many times.
pub(super) struct Tracer {
    strace: Child,
    process: OwnedFd,
}

impl Tracer {
    /// Begins to count. What the process executes is let go.
    pub(super) fn attach(pid: u32, calls: &str, times: u32) -> Self {
        let process = pidfd_open(Pid::from_raw(pid.cast_signed()).unwrap(), PidfdFlags::empty()).unwrap();
        let mut strace = Command::new("strace")
            .args(["-f", "-b", "execve", "-o", "/dev/null", "-p", &pid.to_string()])
            .args([
                "-e",
                &format!("trace={calls}"),
                "-e",
                &format!("inject={calls}:signal=KILL:when={times}"),
            ])
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is there");
        let mut lines = BufReader::new(strace.stderr.take().unwrap()).lines();
        let said: Vec<_> = lines.by_ref().map_while(Result::ok).take(1).collect();
        assert!(said.iter().all(|line| line.contains("attached")), "{said:?}");
        // It says more, of new threads.
        thread::spawn(move || lines.for_each(drop));
        Self { strace, process }
    }

    /// Lets it go. Whoever is about to be killed does not answer any more.
    pub(super) fn end(&mut self) {
        // By force: told to end, it may wait for a process that has just died.
        let _ = kill_process(Pid::from_child(&self.strace), Signal::KILL);
        self.strace.wait().unwrap();
    }

    pub(super) fn has_killed(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.process, PollFlags::IN)], Some(&now)).unwrap() > 0
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.end();
    }
}
