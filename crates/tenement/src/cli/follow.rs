//! Something that goes on and is shown as it comes. A daemon that restarts only interrupts it:
//!
//! ```text
//!   follow ──► shown, shown, … ──► broken off ──► said once ──► back-off ─┐
//!     ▲                                                                   │
//!     └──────────────── only what was not shown yet ◄─────────────────────┘
//! ```

use std::time::Duration;

use serde_json::Value;

use super::{
    Failure, Global,
    client::{Client, Error},
};

/// Between two attempts to reach a daemon that went away: at first, and at most.
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// What is followed.
pub(super) trait Tail {
    /// What to ask for: at first, and `again` after an interruption.
    fn path(&self, again: bool) -> String;

    /// What came meanwhile and is more than one answer holds; before [`Tail::path`] is asked for again.
    fn catch_up(&mut self, _client: &Client) -> Result<Result<(), Failure>, Error> {
        Ok(Ok(()))
    }

    /// Shows one object, if it was not shown yet.
    fn take(&mut self, value: Value) -> Result<(), Failure>;
}

/// Until Ctrl-C, which is the one way to end it well, or until nobody reads the output any more.
pub(super) fn follow(global: &Global, client: &Client, tail: &mut impl Tail) -> Result<(), Failure> {
    let mut waited = None;
    loop {
        let (mut stood, mut came) = (false, false);
        match once(client, tail, waited.is_some(), &mut stood, &mut came) {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => return Err(failure),
            Err(Error::Interrupted(_)) => return Ok(()),
            Err(error) if error.may_pass() && (waited.is_some() || stood) => {}
            Err(error) => return Err(error.into()),
        }
        if came {
            waited = None;
        }
        if waited.is_none() {
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

/// One connection. `stood`: there was one; `came`: and something was shown.
fn once(
    client: &Client,
    tail: &mut impl Tail,
    again: bool,
    stood: &mut bool,
    came: &mut bool,
) -> Result<Result<(), Failure>, Error> {
    if again && let Err(failure) = tail.catch_up(client)? {
        return Ok(Err(failure));
    }
    let path = tail.path(again);
    client.follow(&path, stood, |value| {
        *came = true;
        tail.take(value)
    })
}

/// How many were left out because this reader was too slow for them, if the object says so.
pub(super) fn dropped(value: &Value) -> Option<u64> {
    value["dropped"].as_u64()
}

/// Says so.
pub(super) fn tell_dropped(global: &Global, count: u64, what: &str) {
    global.warn(&format!("{count} {what} are missing here: they came faster than they were read"));
}
