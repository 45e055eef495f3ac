//! One line on a person's terminal while something takes its time; gone when it is over.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use tenement_runtime::clock;

use super::{Global, table};

/// What is over by then needs no words.
const QUIET: Duration = Duration::from_millis(500);
const REFRESH: Duration = Duration::from_secs(1);

/// The line; cleared when it is dropped.
pub(super) struct Progress(Option<Drawing>);

struct Drawing {
    what: Arc<Mutex<String>>,
    over: Sender<()>,
    thread: JoinHandle<()>,
}

impl Progress {
    /// `what` is done while this exists: `Starting api:a`.
    pub(super) fn of(global: &Global, what: String) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if global.quiet || global.json || dumb || !io::stderr().is_terminal() {
            return Self(None);
        }
        let (over, is_over) = channel::<()>();
        let what = Arc::new(Mutex::new(what));
        let said = Arc::clone(&what);
        let thread = std::thread::Builder::new().name("progress".into()).spawn(move || {
            let (begun, mut wait, mut width) = (clock::instant(), QUIET, 0);
            // Whoever is waited for ends it by hanging up.
            while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = is_over.recv_timeout(wait) {
                let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                let what = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                width = draw(&line(&what, ms, columns()), width);
                wait = REFRESH;
            }
            draw("", width);
        });
        // Without a thread there is no line, and nothing is lost.
        Self(thread.ok().map(|thread| Drawing { what, over, thread }))
    }

    /// Says something else from the next second on.
    pub(super) fn say(&self, what: String) {
        if let Some(drawing) = &self.0 {
            *drawing.what.lock().unwrap_or_else(PoisonError::into_inner) = what;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(Drawing { over, thread, .. }) = self.0.take() {
            drop(over);
            let _ = thread.join();
        }
    }
}

/// Fits into a line, its last column left free: a terminal may go on to the next line there.
fn line(what: &str, ms: u64, columns: usize) -> String {
    let all = format!("{what}... {}", table::duration(ms));
    all.chars().take(columns.saturating_sub(1)).collect()
}

/// Over what was there, by spaces: no terminal needs to know a sequence for that. The new width.
fn draw(text: &str, before: usize) -> usize {
    let now = text.chars().count();
    if now.max(before) > 0 {
        let over = format!("\r{text}{}", " ".repeat(before.saturating_sub(now)));
        let end = if now == 0 { "\r" } else { "" };
        let mut terminal = io::stderr().lock();
        let _ = terminal.write_all((over + end).as_bytes()).and_then(|()| terminal.flush());
    }
    now
}

fn columns() -> usize {
    let set = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let window = || rustix::termios::tcgetwinsize(io::stderr()).ok().map(|size| usize::from(size.ws_col));
    set.or_else(window).filter(|&columns| columns > 0).unwrap_or(80)
}

#[cfg(test)]
mod tests {
    use super::*;

    // faults: L6
    #[test]
    fn a_line_fits_into_a_narrow_terminal() {
        assert_eq!(line("Starting api:a", 61_000, 80), "Starting api:a... 1m 1s");
        assert_eq!(line("Starting api:a", 61_000, 10), "Starting ");
    }
}
