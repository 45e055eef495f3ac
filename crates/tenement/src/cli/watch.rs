//! The same again every second, until Ctrl-C.

use std::time::Duration;

use super::{
    EXIT_INTERRUPTED, Failure,
    client::{Client, Error},
    screen::Screen,
};

const REFRESH: Duration = Duration::from_secs(1);

/// Draws what `picture` gives, again and again. Ctrl-C is the one way to end it well.
pub(super) fn watch(client: &Client, picture: impl Fn() -> Result<String, Failure>) -> Result<(), Failure> {
    // Before the screen changes, so that it always changes back, and that it stays for a plain refusal.
    let mut text = picture()?;
    client.catch_every_signal();
    let screen = Screen::open()?;
    loop {
        screen.draw(&text)?;
        match client.pause(REFRESH) {
            Err(Error::Interrupted(_)) => return Ok(()),
            paused => paused?,
        }
        text = match picture() {
            Err(failure) if failure.code == EXIT_INTERRUPTED => return Ok(()),
            text => text?,
        };
    }
}
