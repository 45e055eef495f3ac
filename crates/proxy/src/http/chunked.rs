//! Chunked bodies (RFC 9112 section 7.1): every one is taken apart and put together anew.
//!
//! ```text
//!   Size ──► Extension ──► SizeEnd ──► Data ──► DataCr ──► DataLf ─┐
//!     ▲                       │ size 0                              │
//!     └───────────────────────┼─────────────────────────────────────┘
//!                             ▼
//!                          Trailers ──► Done
//! ```
//!
//! Extensions end here. Trailers go on if they are known or announced; one that must not be a trailer is refused.

use super::{
    Malformed,
    field::{goes_on_in_trailers, is_forbidden_in_trailers},
};

/// Bytes of extensions and trailers that one body may have.
const MAX_EXTRA: usize = 8 << 10;

/// How the data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emit {
    /// In chunks.
    Chunks,
    /// As plain data: the end of the connection is the end.
    Plain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { digits: u8, size: u64 },
    Extension { size: u64 },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailers,
    Done,
}

/// Takes a chunked body apart.
#[derive(Debug)]
pub(crate) struct Chunks {
    state: State,
    emit: Emit,
    extra: usize,
    /// The trailer section so far.
    trailers: Vec<u8>,
    /// The value of the `Trailer` field.
    announced: Box<[u8]>,
}

impl Chunks {
    /// `announced` is the value of the `Trailer` field, empty without one.
    pub(crate) fn new(emit: Emit, announced: &[u8]) -> Self {
        Self { state: START, emit, extra: 0, trailers: Vec::new(), announced: announced.into() }
    }

    /// Whether the whole body was there.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes as much of `input` as belongs to the body, appends what goes on to `out`, and tells how many
    /// bytes it took.
    pub(crate) fn pass(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if let State::Data { left } = self.state {
                at += self.data(&input[at..], left, out);
            } else {
                self.step(input[at], out)?;
                at += 1;
            }
        }
        Ok(at)
    }

    /// Appends what makes `out`, to which this has written chunks so far, the beginning of a body that goes on with
    /// the very next byte of the input.
    pub(crate) fn reopen(&self, out: &mut Vec<u8>) {
        let next = match self.state {
            State::Size { digits: 0, .. } | State::Done => String::new(),
            State::Size { digits, size } => format!("{size:0width$x}", width = usize::from(digits)),
            State::Extension { size } => format!("{size:x};"),
            State::SizeEnd { size } => format!("{size:x}\r"),
            State::Data { left } => format!("{left:x}\r\n"),
            // The last chunk was ended in advance.
            State::DataCr => return out.truncate(out.len().saturating_sub(2)),
            State::DataLf => return out.truncate(out.len().saturating_sub(1)),
            State::Trailers => String::from("0\r\n"),
        };
        out.extend_from_slice(next.as_bytes());
        out.extend_from_slice(&self.trailers);
    }

    fn data(&mut self, input: &[u8], left: u64, out: &mut Vec<u8>) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        if self.emit == Emit::Chunks {
            chunk(&input[..taken], out);
        } else {
            out.extend_from_slice(&input[..taken]);
        }
        let left = left - taken as u64;
        self.state = if left == 0 { State::DataCr } else { State::Data { left } };
        taken
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.state = match (self.state, byte) {
            (State::Size { digits, size }, _) if byte.is_ascii_hexdigit() => {
                if digits == 16 {
                    return Err(Malformed::bad("a chunk size is too large"));
                }
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                State::Size { digits: digits + 1, size: size << 4 | u64::from(digit) }
            }
            (State::Size { digits: 1.., size }, b'\r') => State::SizeEnd { size },
            (State::Size { digits: 1.., size }, b';') => State::Extension { size },
            (State::Extension { size }, b'\r') => State::SizeEnd { size },
            (State::Extension { size }, b'\t' | b' '..=b'~') => {
                self.extra()?;
                State::Extension { size }
            }
            (State::SizeEnd { size: 0 }, b'\n') => State::Trailers,
            (State::SizeEnd { size }, b'\n') => State::Data { left: size },
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => START,
            (State::Trailers, _) => self.trailer(byte, out)?,
            _ => return Err(Malformed::bad("a chunk is malformed")),
        };
        Ok(())
    }

    fn extra(&mut self) -> Result<(), Malformed> {
        self.extra += 1;
        if self.extra > MAX_EXTRA {
            return Err(Malformed::bad("too much besides the data of a chunked body"));
        }
        Ok(())
    }

    fn trailer(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<State, Malformed> {
        self.extra()?;
        self.trailers.push(byte);
        if byte != b'\n' {
            return Ok(State::Trailers);
        }
        if !self.trailers.ends_with(b"\r\n") {
            return Err(Malformed::bad("a trailer does not end with CRLF"));
        }
        if self.trailers != b"\r\n" && !self.trailers.ends_with(b"\r\n\r\n") {
            return Ok(State::Trailers);
        }
        if self.emit == Emit::Chunks {
            out.extend_from_slice(b"0\r\n");
            write_trailers(&self.trailers, &self.announced, out)?;
            out.extend_from_slice(b"\r\n");
        }
        self.trailers = Vec::new();
        Ok(State::Done)
    }
}

const START: State = State::Size { digits: 0, size: 0 };

/// Appends one chunk; nothing for no data, which would be the last chunk.
pub(crate) fn chunk(data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

fn write_trailers(section: &[u8], announced: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut storage = [httparse::EMPTY_HEADER; 32];
    let bad = Malformed::bad("a trailer is malformed");
    let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(section, &mut storage) else {
        return Err(bad);
    };
    for field in fields {
        if is_forbidden_in_trailers(field.name) || !field.value.is_ascii() {
            return Err(Malformed::bad("a trailer that must not be one"));
        }
        if goes_on_in_trailers(field.name, announced) {
            super::write_field(field.name, field.value, out);
        }
    }
    Ok(())
}
