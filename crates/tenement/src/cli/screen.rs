//! A display that is drawn again and again. On a terminal it has a screen of its own (`xterm`'s alternate
//! screen), so that what was there before is there again afterwards; elsewhere each drawing follows the last.

use std::io::{self, IsTerminal, Write};

use super::{Failure, output};

/// To the other screen, cursor hidden; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the corner; and what is left of a line or of the screen goes away (ECMA-48 `CUP`, `EL`, `ED`). Drawing
/// over the old picture does not flicker as clearing first does.
const HOME: &str = "\x1b[H";
const END_OF_LINE: &str = "\x1b[K\r\n";
const END_OF_SCREEN: &str = "\x1b[J";

/// The display; leaves its screen when it is dropped.
pub(super) struct Screen {
    is_terminal: bool,
}

impl Screen {
    pub(super) fn open() -> Result<Self, Failure> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let screen = Self { is_terminal: io::stdout().is_terminal() && !dumb };
        if screen.is_terminal {
            put(ENTER)?;
        }
        Ok(screen)
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    pub(super) fn draw(&self, text: &str) -> Result<(), Failure> {
        if !self.is_terminal {
            return output::print(text);
        }
        let rows = rustix::termios::tcgetwinsize(io::stdout()).map_or(usize::MAX, |size| size.ws_row.into());
        Ok(put(&frame(text, rows))?)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_terminal {
            // A terminal that is gone needs nothing put right.
            let _ = put(LEAVE);
        }
    }
}

/// The bytes that replace the picture; what does not fit is left out, as scrolling would spoil it.
fn frame(text: &str, rows: usize) -> String {
    let rows = if rows == 0 { usize::MAX } else { rows };
    let lines: Vec<_> = text.lines().take(rows).collect();
    format!("{HOME}{}\x1b[K{END_OF_SCREEN}", lines.join(END_OF_LINE))
}

fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_covers_what_was_there_and_does_not_scroll() {
        assert_eq!(frame("a\nb\nc", 2), "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J");
        assert_eq!(frame("a", 0), "\x1b[Ha\x1b[K\x1b[J");
    }
}
