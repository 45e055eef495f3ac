//! Where in a stream of WebSocket frames (RFC 6455 section 5.2) a tunnel is: only so much that it can be ended properly.
//!
//! ```text
//!            ┌──────────────── whole ────────────────┐
//!            ▼                                       │
//!   ──► Boundary ──► Opened ──► (Length) ──► Skipped ┘
//!            │ a close frame: Closing   │ not the protocol: Lost
//! ```
//!
//! Both are final. It looks at two to ten bytes of each frame and judges nothing that isn't needed to find the next:
//! extensions, fragments and masks are between client and application.

use State::{Boundary, Closing, Length, Lost, Opened, Skipped};

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CLOSE: u8 = 8;
/// Opcodes from here on are those of control frames, which are short and whole.
const CONTROL: u8 = 8;
const MASK_BYTES: u64 = 4;

/// The code of a close frame (RFC 6455 section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// Who sends it goes away.
    Away = 1001,
    /// The service is restarted: connect again.
    Restart = 1012,
}

impl Code {
    /// A server's close frame that says so.
    pub(super) fn frame(self) -> [u8; 4] {
        let [high, low] = (self as u16).to_be_bytes();
        [FINAL | CLOSE, 2, high, low]
    }
}

/// Follows one direction of a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frames(State);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Boundary,
    /// The first byte was there.
    Opened { first: u8 },
    /// So many bytes of the long form of the length are not there yet.
    Length { missing: u8, length: u64, masked: bool },
    /// So many bytes, of the mask and the payload, are not there yet.
    Skipped { left: u64 },
    /// A close frame has begun.
    Closing,
    /// What came is something else.
    Lost,
}

impl Frames {
    /// Takes note of what was sent.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while let [next, rest @ ..] = bytes {
            bytes = match self.0 {
                Closing | Lost => return,
                Skipped { left } => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    self.0 = skip(left - taken as u64);
                    &bytes[taken..]
                }
                _ => {
                    self.0 = self.0.after(*next);
                    rest
                }
            };
        }
    }

    /// Whether another frame can be sent now: none is under way, and no close frame was sent.
    pub(super) fn takes_another(self) -> bool {
        self.0 == Boundary
    }

    /// Whether a close frame was sent, or at least its beginning.
    pub(super) fn is_closing(self) -> bool {
        self.0 == Closing
    }

    /// Whether these are no frames.
    pub(super) fn is_lost(self) -> bool {
        self.0 == Lost
    }
}

impl State {
    /// After a byte of a frame's head.
    fn after(self, byte: u8) -> Self {
        match self {
            Boundary => match byte & OPCODE {
                CONTROL.. if byte & FINAL == 0 => Lost,
                CLOSE => Closing,
                0..=2 | 9..=10 => Opened { first: byte },
                _ => Lost,
            },
            Opened { first } => {
                let (masked, short) = (byte & MASKED != 0, byte & !MASKED);
                match short {
                    126.. if first & OPCODE >= CONTROL => Lost,
                    126 => Length { missing: 2, length: 0, masked },
                    127 => Length { missing: 8, length: 0, masked },
                    short => frame(u64::from(short), masked),
                }
            }
            Length { missing, length, masked } => {
                let length = length << 8 | u64::from(byte);
                match missing {
                    1 if length >> 63 != 0 => Lost,
                    1 => frame(length, masked),
                    _ => Length { missing: missing - 1, length, masked },
                }
            }
            Skipped { .. } | Closing | Lost => self,
        }
    }
}

/// What follows the length.
fn frame(length: u64, masked: bool) -> State {
    skip(length + if masked { MASK_BYTES } else { 0 })
}

fn skip(left: u64) -> State {
    if left == 0 { Boundary } else { Skipped { left } }
}

#[cfg(test)]
mod tests;
