//! The same again every second, until Ctrl-C.

use std::time::Duration;

use super::{
    EXIT_INTERRUPTED, EXIT_UNREACHABLE, Failure, Global,
    client::{Client, Error},
    output,
    screen::Screen,
};

const REFRESH: Duration = Duration::from_secs(1);

/// Draws what `picture` gives, again and again. Ctrl-C is the one way to end it well; a daemon that goes away
/// is waited for.
pub(super) fn watch(
    global: &Global,
    client: &Client,
    picture: impl Fn() -> Result<String, Failure>,
) -> Result<(), Failure> {
    if output::is_closed() {
        return Ok(());
    }
    // Before the screen changes, so that it always changes back, and that it stays for a plain refusal.
    let mut text = picture()?;
    client.catch_every_signal();
    let screen = Screen::open()?;
    let mut is_away = false;
    screen.draw(&text)?;
    loop {
        match client.pause(REFRESH) {
            Err(Error::Interrupted(_)) => return Ok(()),
            paused => paused?,
        }
        match picture() {
            Ok(new) => {
                (text, is_away) = (new, false);
                screen.draw(&text)?;
            }
            Err(failure) if failure.code == EXIT_INTERRUPTED => return Ok(()),
            Err(failure) if failure.code == EXIT_UNREACHABLE => {
                if screen.is_terminal() {
                    screen.draw(&format!("{}\n{text}", failure.line()))?;
                } else if !is_away {
                    global.warn(&failure.message);
                }
                is_away = true;
            }
            Err(failure) => return Err(failure),
        }
    }
}
