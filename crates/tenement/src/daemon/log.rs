//! The daemon's own log.
//!
//! ```text
//!   event ─► line ─► queue ─► a thread of its own ─► standard error
//!                      └─ full: counted, and said as soon as lines are taken again
//! ```
//!
//! Standard error may be gone, or take nothing for hours when whoever collects it is stuck. Neither may hold up
//! or end anything, so no other thread writes there.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait; further ones are lost.
const QUEUE: usize = 1024;
/// How long the last lines have at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes lines without ever waiting or failing. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    lost: u64,
    /// Lines were taken from here and are not written yet.
    writing: bool,
}

impl Log {
    /// Begins to write lines to `sink`, on a thread that lives as long as the process.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn to(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let log = Self(Arc::default());
        let shared = Arc::clone(&log.0);
        thread::Builder::new().name("log".into()).spawn(move || shared.write(sink))?;
        Ok(log)
    }

    /// Waits until everything is written, but no longer than a second.
    pub fn finish(&self) {
        let unwritten = |state: &mut State| state.writing || !state.lines.is_empty();
        let state = self.0.lock();
        drop(self.0.changed.wait_timeout_while(state, PATIENCE, unwritten));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mut sink: impl Write) -> ! {
        let mut state = self.lock();
        loop {
            let idle = |state: &mut State| state.lines.is_empty();
            state = self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
            let (lines, lost) = (std::mem::take(&mut state.lines), std::mem::take(&mut state.lost));
            state.writing = true;
            drop(state);
            // When standard error is gone nobody is left to tell.
            for line in lines {
                let _ = sink.write_all(&line);
            }
            if lost > 0 {
                let _ =
                    writeln!(sink, "{lost} lines of this log were lost here: they were not taken in time");
            }
            let _ = sink.flush();
            state = self.lock();
            state.writing = false;
            self.changed.notify_all();
        }
    }
}

/// Takes one line per write, as `tracing_subscriber::fmt` makes them.
impl Write for &Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.lines.len() < QUEUE {
            state.lines.push_back(line.to_owned());
            self.0.changed.notify_all();
        } else {
            state.lost += 1;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'log> MakeWriter<'log> for Log {
    type Writer = &'log Self;

    fn make_writer(&'log self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests;
