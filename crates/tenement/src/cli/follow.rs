//! Something that goes on and is shown as it comes. A daemon that restarts only interrupts it:
//!
//! ```text
//!   follow ──► shown, shown, … ──► broken off ──► back-off, said once if nobody is there then ─┐
//!     ▲                                                                                        │
//!     └──────────────────────────── only what was not shown yet ◄──────────────────────────────┘
//! ```

use std::time::Duration;

use serde_json::Value;
use tenement_runtime::clock;

use super::{
    Failure, Global,
    client::{Client, Error, Taken},
    output,
};

/// Between two attempts to reach a daemon that went away: at first, and at most.
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// What is followed.
pub(super) trait Tail {
    /// What to ask for: at first, and `again` after an interruption.
    fn path(&mut self, again: bool) -> String;

    /// Whether the daemon was there before it was followed.
    fn has_begun(&self) -> bool {
        false
    }

    /// Shows one object, if it was not shown yet; perhaps only with the next [`Tail::flush`].
    fn take(&mut self, value: Value) -> Taken;

    /// Nothing more is there for now.
    fn flush(&mut self) -> Taken {
        Ok(())
    }
}

/// Until Ctrl-C, which is the one way to end it well, or until nobody reads the output any more.
pub(super) fn follow(global: &Global, client: &Client, tail: &mut impl Tail) -> Result<(), Failure> {
    if output::is_closed() {
        return Ok(());
    }
    let (mut waited, mut told) = (None, false);
    loop {
        let (begun, mut stood) = (clock::instant(), false);
        let again = waited.is_some() || tail.has_begun();
        match once(client, tail, again, &mut stood) {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => return Err(failure),
            Err(Error::Interrupted(_)) => return Ok(()),
            Err(error) if error.may_pass() && (again || stood) => {}
            Err(error) => return Err(error.into()),
        }
        // A daemon that ends may still take a connection or two, and cut them at once: all that is one end.
        if stood && begun.elapsed() > BACKOFF_MAX {
            (waited, told) = (None, false);
        }
        // A token that was revoked ends it as a daemon does; which of both it was, the next attempt shows.
        if !stood && !std::mem::replace(&mut told, true) {
            global.warn("the connection to the daemon is over: waiting for the daemon to come back");
        }
        let pause = waited.map_or(BACKOFF, |last: Duration| (last * 2).min(BACKOFF_MAX));
        waited = Some(pause);
        match client.pause(pause) {
            Err(Error::Interrupted(_)) => return Ok(()),
            paused => paused?,
        }
    }
}

/// One connection. `stood`: there was one.
fn once(client: &Client, tail: &mut impl Tail, again: bool, stood: &mut bool) -> Result<Taken, Error> {
    let path = tail.path(again);
    let ended = client.follow(&path, stood, |value| match value {
        Some(value) => tail.take(value),
        None => tail.flush(),
    });
    // What came is shown, however it ended.
    match (ended, tail.flush()) {
        (Ok(Ok(())), Err(failure)) => Ok(Err(failure)),
        (ended, _) => ended,
    }
}

/// How many were left out because this reader was too slow for them, if the object says so.
pub(super) fn dropped(value: &Value) -> Option<u64> {
    value["dropped"].as_u64()
}

/// Says so.
pub(super) fn tell_dropped(global: &Global, count: u64, what: &str) {
    global.alarm(&format!("{count} {what} are missing here: they came faster than they were read"));
}
